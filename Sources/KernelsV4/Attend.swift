public import Core

/// `attend` of `Kernels` in AVX-512 code: the same arguments and the same bits, with the state in its three parts.
public func attend(
    queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
    keyPages: UnsafePointer<UnsafeRawPointer>, valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int,
    type: KVType, slots: Range<Int>, m: UnsafeMutablePointer<Float>, l: UnsafeMutablePointer<Float>,
    o: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
) {
    attendHere(
        queries: queries, visible: visible, rowCount: rowCount, keyPages: keyPages, valuePages: valuePages,
        headDim: headDim, type: type, slots: slots,
        state: AttentionState(m: m, l: l, o: o, rowCount: rowCount, headDim: headDim), scratch: scratch)
}
