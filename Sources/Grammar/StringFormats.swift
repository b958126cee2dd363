import Core

/// The formats of strings, as regular expressions whose every match is valid; not every valid string is a match.
enum StringFormats {
    private static let month =
        "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
    // The 29th of February is left out: it needs the rule for leap years.
    private static let date = "[12][0-9]{3}-(\(month))"
    private static let clock = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"
    private static let zone = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    private static let label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"
    private static let byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    private static let group = "[0-9a-f]{1,4}"

    private static let expressions: [String: String] = [
        "date": date,
        "time": clock + zone,
        "date-time": "\(date)T\(clock)\(zone)",
        "duration": "P([0-9]{1,4}D(T\(timeParts))?|T\(timeParts)|[0-9]{1,4}W)",
        "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "email": "[a-zA-Z0-9_+-]{1,32}(\\.[a-zA-Z0-9_+-]{1,20}){0,2}@\(label)(\\.\(label)){0,3}\\.[a-zA-Z]{2,12}",
        "hostname": "\(label)(\\.\(label)){0,6}",
        "ipv4": "\(byte)(\\.\(byte)){3}",
        "ipv6": "\(group)(:\(group)){7}",
        "uri":
            "https?://\(label)(\\.\(label)){0,6}(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9._~-]{0,64}){0,16}(\\?[a-zA-Z0-9._~=&-]{0,128})?",
    ]
    private static let timeParts = "([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)"

    /// What a format's strings hold, between the quotes.
    static func pattern(_ name: String, _ place: String) throws -> Pattern {
        guard let expression = expressions[name] else {
            let known = expressions.keys.sorted().joined(separator: ", ")
            throw Problem.invalid("\(place): the format \(name) is not supported; use \(known), or a pattern")
        }
        return try RegexReader.read(expression, source: place).pattern(JSONText.scalar)
    }
}
