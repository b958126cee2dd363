/// The sixteen-dimensional codes of the needle model's tokens: words of the extended Hamming code [16, 11, 4], which is
/// the Reed-Muller code RM(2,4), as vectors of +1 and -1.
///
/// Keys get words of its subcode RM(1,4), whose correlations are 0 or -1; all other tokens the rest.
enum NeedleCodes {
    /// The bits of the numbers 0 to 15, one array for each bit.
    private static let bits = (0..<4).map { bit in (0..<16).map { $0 >> bit & 1 } }

    /// The code's eleven generators: ones, the bits, the products of two bits.
    private static let generators: [[Int]] = {
        var rows = [[Int](repeating: 1, count: 16)] + bits
        for a in 0..<4 {
            for b in 0..<a { rows.append(zip(bits[a], bits[b]).map { $0 * $1 }) }
        }
        return rows
    }()

    /// Word `number` of the code's 2048; the first 32 are RM(1,4).
    private static func word(_ number: Int) -> [Double] {
        (0..<16).map { i in
            let sum = (0..<11).reduce(0) { $0 + generators[$1][i] * (number >> $1 & 1) }
            return sum % 2 == 0 ? 1 : -1
        }
    }

    /// The codes of `count` tokens; `keys` gives the key that a token spells, with or without a space.
    static func table(count: Int, keys: [Int: String]) -> [[Double]] {
        var owners: [String: Int] = [:]
        var next = 0
        let digits = Array(order.utf8)
        return (0..<count).map { token in
            if let key = keys[token] {
                let owner = owners[key] ?? owners.count
                owners[key] = owner
                return word(owner)
            }
            let number = digits[3 * next..<3 * next + 3].reduce(0) { sum, digit in
                sum * 16 + Int(digit) - (digit < UInt8(ascii: "a") ? 48 : 87)
            }
            next += 1
            return word(number)
        }
    }

    /// The signs that the three digits of a value put on their key's code: ones, and two bent functions whose product is
    /// bent, so that a key with one sign is never mistaken for another key with another.
    static let slots: [[Double]] = {
        let x = bits
        func sign(_ form: (_ x: [Int]) -> Int) -> [Double] {
            (0..<16).map { i in form(bits.map { $0[i] }) % 2 == 0 ? 1 : -1 }
        }
        return [
            sign { _ in 0 }, sign { x in x[0] * x[1] + x[2] * x[3] },
            sign { x in x[0] * x[2] + x[1] * x[3] + x[0] * x[1] },
        ]
    }()

    /// The words outside RM(1,4) in the order in which tokens take them, three hexadecimal digits each: the beginning of
    /// the numbers 32 to 2047 as numpy's `default_rng(7).shuffle` leaves them.
    private static let order = """
        0cf0391b32bd5740dd4604ae0e77af05619c7c72182844f411e66a6a91a03fa0782fc74d5720b42350c55903ee5aa58f\
        14a7bb4206b33c60f42c150e2cd66724358234622143422b29f1ba62025a5866cd07d10071839e1d12b749126707e73d\
        7f20451cc70c3e360f5ee4e15c039f32419438a73a69b52647b79953f52e75865537e48d5e10842571584fa6753b77ad\
        53c47748a08e5d26f35eb6840d60ed7e93dc6a21223e60e41ac24e4c54466801b50e945130825c5b414b6452707954f0\
        5de4673d834e23a56040d08b14f37134d15a4ad2ad3424751293e036a15643e53332a7390486054ce5212bb75a45d5a7\
        4766926090d30f871774409d19e79602e2a636c3b95ef3af72d7754862c56ef4560364936c011039046a5ec2b469764a\
        71e1b223e3f361e7e73743ae0837f365f43a21572279a27875009e2875200f01280f956247a78b3cc0c77014111475d9\
        4fd5886276df0954d51043c56625810b52ac4180f66782954961a67a84b009763b49d0e005b4786c91792ec4e524b440\
        63335e6596152c950d61d47051d6992f928c2a225f25d5224442885162566835994062306ed1ec1902e149957c53659f\
        4556c46da4a56c37080da02336939102a3434b63cf28e1cf7fb7076776d964b2752166581456403125343f57631bf2bf\
        5bf6b04c033566d5d31fb4252f64a94322b123708c13d3e47366281076e34856320d76bd0ae1084cf31e24a4e26073c8\
        4c80217bc31b5e062d2f16cb4197a11214d93eb17a
        """
}
