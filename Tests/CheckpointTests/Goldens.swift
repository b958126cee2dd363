import Checkpoint
import Core
import GLM

/// The small models and damaged files beside the tests.
enum Goldens {
    /// Tests/Golden, found from this file.
    static let folder: String = {
        let parts = #filePath.split(separator: "/").dropLast(2)
        return "/" + parts.joined(separator: "/") + "/Golden/"
    }()
}
