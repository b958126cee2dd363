extension Duration {
    /// The duration as a number of milliseconds, to the microsecond.
    var milliseconds: Double {
        let (seconds, attoseconds) = components
        return (Double(seconds) * 1e6 + (Double(attoseconds) * 1e-12).rounded()) / 1e3
    }
}
