import CLinux
import Core
import Glibc

/// The instruction sets that the hot kernels have code for. All give the same bits.
///
/// Every kernel needs what `v3` names; attention and the products exist once more for each wider set, chosen at start.
public enum InstructionSet: String, Sendable, CaseIterable {
    /// x86-64-v3: AVX2, FMA and F16C. On other architectures whatever they have.
    case v3
    /// x86-64-v4, AVX-512, with VNNI.
    case v4

    /// What the kernels use in this process: the variable `GLM_ISA`, or else the widest there is.
    ///
    /// A program asks `requested()` first, which says what is wrong with the variable; here a wrong one counts for nothing.
    public static let current = (try? requested()) ?? available[available.count - 1]

    /// What this machine runs, the widest last.
    public static let available: [InstructionSet] = clinux_has_avx512() != 0 ? [.v3, .v4] : [.v3]

    /// What `GLM_ISA` asks for, or the widest there is when it is unset or empty.
    public static func requested() throws -> InstructionSet {
        try chosen(getenv("GLM_ISA").map { String(cString: $0) } ?? "", of: available)
    }

    /// The set called `name`, when it is among `sets` (the widest last); no name means the widest.
    static func chosen(_ name: String, of sets: [InstructionSet]) throws -> InstructionSet {
        if name.isEmpty { return sets[sets.count - 1] }
        guard let wanted = InstructionSet(rawValue: name) else {
            let names = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("GLM_ISA is '\(name)'; expected one of \(names), or leave it unset")
        }
        guard sets.contains(wanted) else {
            throw Problem.invalid(
                "GLM_ISA is '\(name)', but this machine lacks \(wanted.name) with VNNI; unset it, or set it to "
                    + sets.map(\.rawValue).joined(separator: " or "))
        }
        return wanted
    }

    /// The name by which others know it.
    public var name: String {
        #if arch(x86_64)
            "x86-64-\(rawValue)"
        #elseif arch(arm64)
            "arm64"
        #else
            "portable"
        #endif
    }
}
