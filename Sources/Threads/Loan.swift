import CLinux

/// Lends `body` to other threads while `use` runs: they call it through the loan, with `clinux_call`.
///
/// `withoutActuallyEscaping` would do, but it allocates each time, and a forward pass has hundreds of runs. A closure that does not
/// escape is two words, a function and its context; Swift gives them to nobody but to a function that takes the closure, so that
/// function is in C.
@_silgen_name("clinux_lend")
func lend(_ body: (Int) -> Void, while use: (UnsafePointer<clinux_loan>) -> Void)
