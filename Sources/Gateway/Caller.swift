import Core

/// Who a request comes from, as its routes see it.
struct Caller: Sendable {
    /// The API key's id; empty where no key is needed.
    var id: String
    /// What it may do.
    var scope: APIKey.Scope

    /// Whoever calls a gateway that is open.
    static let anybody = Caller(id: "", scope: .admin)

    /// The caller of the request that this task answers; nil outside of one.
    @TaskLocal static var current: Caller?

    /// Whether it may see and end what `owner` made.
    func mayTouch(_ owner: String) -> Bool { scope == .admin || id == owner }
}
