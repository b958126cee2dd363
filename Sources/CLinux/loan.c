#include "CLinux.h"

// Swift's calling convention, as clang knows it: a closure is a function and a context, which has a register of its own.
typedef __attribute__((swiftcall)) void called(intptr_t argument, __attribute__((swift_context)) const void *context);
typedef __attribute__((swiftcall)) void user(
    const struct clinux_loan *loan, __attribute__((swift_context)) const void *context);

// Loan.swift has its declaration in Swift.
__attribute__((swiftcall)) void clinux_lend(const void *body, const void *context, user *use, const void *useContext);

void clinux_lend(const void *body, const void *context, user *use, const void *useContext) {
  struct clinux_loan loan = {body, context};
  use(&loan, useContext);
}

void clinux_call(const struct clinux_loan *loan, intptr_t argument) {
  ((called *)loan->body)(argument, loan->context);
}
