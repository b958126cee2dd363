// CLinux.h: the few Linux calls and processor hints that Swift's own modules do not carry.
#pragma once
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>

/// A non-blocking eventfd, or -1.
int clinux_eventfd(void);

/// Names the calling thread; 15 bytes are kept.
void clinux_set_thread_name(const char *name);

/// Pins the calling thread to one processor; 0 when it worked.
int clinux_pin_thread(int processor);

/// Keeps the calling thread, and those that it starts from then on, on some processors; 0 when it worked.
int clinux_keep_thread(const int32_t *processors, int count);

/// Memory that the calling thread, and those that it starts from then on, touch first comes from one node while it has
/// some, or from several in turn; 0 when it worked, or what errno says.
int clinux_take_memory_of(const int32_t *nodes, int count);

/// A process that is spawned with these actions gets none of this one's descriptors from `first` on; 0 when it worked, or what errno says.
int clinux_close_from(posix_spawn_file_actions_t *actions, int first);

/// Takes a name that one process of this machine (of its network namespace) has at a time: a descriptor, which gives
/// the name back when it is closed, or -1.
int clinux_claim(const char *name);

/// Sleeps while *word == expected, until woken or `nanoseconds` have passed (negative: no limit).
void clinux_futex_wait(const uint32_t *word, uint32_t expected, int64_t nanoseconds);

/// Wakes up to `count` threads that sleep on word.
void clinux_futex_wake(const uint32_t *word, int count);

/// Flush denormal results and operands to zero on the calling thread: one setting on every compute thread.
/// Returns what was set before, for clinux_restore_floats.
uint32_t clinux_flush_denormals(void);

/// Sets the calling thread's floating-point control as clinux_flush_denormals found it.
void clinux_restore_floats(uint32_t control);

/// Asks the kernel to end this process when its parent ends.
void clinux_die_with_parent(void);

/// One if the processor has AVX2, FMA and F16C.
int clinux_has_avx2(void);

/// One if the processor has AVX-512 as x86-64-v4 means it, and VNNI, and the system saves the wide registers.
int clinux_has_avx512(void);

/// Asks for the cache line of `p`, which may be any address, to be brought near: it will be read soon.
static inline void clinux_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }

/// As clinux_prefetch, but no nearer than the second level: it will be read after much else.
static inline void clinux_prefetch_later(const void *p) { __builtin_prefetch(p, 0, 2); }

#if defined(__AVX2__)
typedef long long clinux_32_bytes __attribute__((vector_size(32)));

/// `x`, loaded here, once: the compiler would load it where it is used, each time, and in another order than that in
/// which it lies in memory, which the processor reads ahead.
static inline clinux_32_bytes clinux_loaded_32(clinux_32_bytes x) {
  __asm__ volatile("" : "+x"(x));
  return x;
}
#endif

#if defined(__AVX512F__)
typedef long long clinux_64_bytes __attribute__((vector_size(64)));

/// As clinux_loaded_32.
static inline clinux_64_bytes clinux_loaded_64(clinux_64_bytes x) {
  __asm__ volatile("" : "+v"(x));
  return x;
}
#endif

/// Tells the processor that this is a spin loop.
static inline void clinux_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

/// A file in memory of `bytes` bytes, all of them there, that any process may open through /proc; -1 when that can not be.
int clinux_memory_file(const char *name, int64_t bytes);

/// How many of `bytes` bytes from `start` on lie in large pages; 0 too where the system does not say (before Linux 6.7).
size_t clinux_in_large_pages(const void *start, size_t bytes);

/// A Swift closure that is lent: what it takes to call it.
struct clinux_loan {
  const void *body;
  const void *context;
};

/// Calls a lent closure, from any thread, as long as the loan lasts (see Loan.swift).
void clinux_call(const struct clinux_loan *loan, intptr_t argument);

/// Fills `bytes` with random numbers; 0 when it worked.
int clinux_random(void *bytes, size_t count);
