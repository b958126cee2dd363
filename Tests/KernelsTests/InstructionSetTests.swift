import Core
import Glibc
import Testing

@testable import Kernels

@Suite struct InstructionSetTests {
    @Test("the widest instruction set is used unless another is asked for by name")
    func choice() throws {
        #expect(try InstructionSet.chosen("", of: [.v3]) == .v3)
        #expect(try InstructionSet.chosen("", of: [.v3, .v4]) == .v4)
        #expect(try InstructionSet.chosen("v3", of: [.v3, .v4]) == .v3)
        #expect(try InstructionSet.chosen("v4", of: [.v3, .v4]) == .v4)
        #expect(InstructionSet.available.contains(InstructionSet.current))
    }

    @Test("an unknown instruction set, or one that the machine lacks, is refused in one line")
    func refusals() {
        let unknown = #expect(throws: Problem.self) { try InstructionSet.chosen("v5", of: [.v3, .v4]) }
        #expect(unknown?.message == "GLM_ISA is 'v5'; expected one of v3, v4, or leave it unset")
        let missing = #expect(throws: Problem.self) { try InstructionSet.chosen("v4", of: [.v3]) }
        #expect(missing?.message.contains("lacks") == true)
        #expect(missing?.message.contains("\n") == false)
    }

    #if arch(x86_64)
        /// Generic code that several rooms specialise is merged by the linker: the wide copy would then run on any host.
        @Test(
            "instructions that need AVX-512 stand in the wide kernels and nowhere else",
            .enabled(if: InstructionSetTests.hasDisassembler))
        func border() throws {
            let lines = try #require(popen("objdump -d --no-show-raw-insn /proc/$PPID/exe", "r"))
            defer { pclose(lines) }
            var function = ""
            var wide: [String: Int] = [:]
            var buffer = [CChar](repeating: 0, count: 4096)
            while fgets(&buffer, Int32(buffer.count), lines) != nil {
                if isxdigit(Int32(buffer[0])) != 0 {
                    function = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
                } else if isWide(buffer) {
                    wide[function, default: 0] += 1
                }
            }
            #expect(wide.values.reduce(0, +) > 100, "nothing was read, or the wide kernels are not wide")
            #expect(wide.keys.filter { !$0.contains("9KernelsV4") } == [])
        }

        /// Whether a line of assembly names a register of 64 bytes, a mask, or one of the registers 16...31.
        private func isWide(_ line: [CChar]) -> Bool {
            let percent = CChar(UInt8(ascii: "%"))
            return line.withUnsafeBufferPointer { line in
                var at = 0
                while at + 6 < line.count, line[at] != 0 {
                    defer { at += 1 }
                    guard line[at] == percent else { continue }
                    let next = UInt8(bitPattern: line[at + 1])
                    if next == UInt8(ascii: "z") { return true }
                    if next == UInt8(ascii: "k"), isdigit(Int32(line[at + 2])) != 0 { return true }
                    guard next == UInt8(ascii: "x") || next == UInt8(ascii: "y") else { continue }
                    guard UInt8(bitPattern: line[at + 2]) == UInt8(ascii: "m") else { continue }
                    guard isdigit(Int32(line[at + 4])) != 0, isdigit(Int32(line[at + 5])) != 0 else { continue }
                    if (line[at + 4] - 48) * 10 + line[at + 5] - 48 >= 16 { return true }
                }
                return false
            }
        }

        private static let hasDisassembler = system("command -v objdump > /dev/null 2>&1") == 0
    #endif
}
