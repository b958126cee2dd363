/// Something that a gateway asks the cluster to keep: an uploaded file, a batch, a line of a batch's results.
///
/// Gateways keep nothing themselves, so that any of them can answer for any other, also after a restart.
public struct Record: Hashable, Sendable {
    /// What names a record.
    public struct Name: Hashable, Sendable {
        /// `file`, `batch` and the like; the gateway chooses.
        public var kind: String
        /// Unique among its kind.
        public var id: String

        /// The record `id` of a kind.
        public init(_ kind: String, _ id: String) {
            self.kind = kind
            self.id = id
        }
    }

    /// Its name.
    public var name: Name
    /// The API key it belongs to, by its id; empty where no key was needed.
    public var owner: String
    /// Seconds since 1970 when it was made.
    public var created: Double
    /// What is said about it, short: JSON, as the gateway likes it.
    public var text: String
    /// Its data.
    public var data: [UInt8]

    /// A record.
    public init(_ name: Name, owner: String, created: Double, text: String, data: [UInt8] = []) {
        self.name = name
        self.owner = owner
        self.created = created
        self.text = text
        self.data = data
    }

    /// Why a cluster without a store keeps none.
    public static let noStore = Problem(
        .unavailable, "the cluster keeps no files or batches: start the coordinator with --store PATH")
}
