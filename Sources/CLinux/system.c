#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

int clinux_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void clinux_set_thread_name(const char *name) {
  char kept[16] = {0};
  for (int i = 0; i < 15 && name[i]; i++) kept[i] = name[i];
  pthread_setname_np(pthread_self(), kept);
}

int clinux_pin_thread(int processor) { return clinux_keep_thread(&processor, 1); }

int clinux_keep_thread(const int32_t *processors, int count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < count; i++) CPU_SET(processors[i], &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int clinux_take_memory_of(const int32_t *nodes, int count) {
  enum { most = 1024, bits = 8 * sizeof(unsigned long) };
  unsigned long mask[most / bits] = {0};
  for (int i = 0; i < count; i++) {
    if (nodes[i] < 0 || nodes[i] >= most) return EINVAL;
    mask[nodes[i] / bits] |= 1ul << (nodes[i] % bits);
  }
  int mode = count == 1 ? MPOL_PREFERRED : MPOL_INTERLEAVE;
  // The kernel reads one bit less than it is told of.
  return syscall(SYS_set_mempolicy, mode, mask, (unsigned long)most + 1) == 0 ? 0 : errno;
}

int clinux_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int clinux_claim(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(name);
  if (length >= sizeof address.sun_path) return -1;
  // An empty first byte: a name of the kernel's, and no file.
  memcpy(address.sun_path + 1, name, length);
  int claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (claim < 0) return -1;
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
  if (bind(claim, (struct sockaddr *)&address, size) == 0) return claim;
  close(claim);
  return -1;
}

void clinux_futex_wait(const uint32_t *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? NULL : &limit, NULL, 0);
}

void clinux_futex_wake(const uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

uint32_t clinux_flush_denormals(void) {
#if defined(__x86_64__)
  uint32_t before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);
  return before;
#elif defined(__aarch64__)
  uint64_t before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)));
  return (uint32_t)before;
#else
  return 0;
#endif
}

void clinux_restore_floats(uint32_t control) {
#if defined(__x86_64__)
  _mm_setcsr(control);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)control));
#endif
}

void clinux_die_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGTERM); }

int clinux_has_avx2(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
  return 1;
#endif
}

int clinux_has_avx512(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  // SSE, AVX, and the three parts of AVX-512's registers: what the system does not save, threads would lose.
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0xe6) != 0xe6) return 0;
  if (!clinux_has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  unsigned v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
  return (b & v4) == v4 && (c & bit_AVX512VNNI) != 0;
#else
  return 0;
#endif
}

// The question and the answer of PAGEMAP_SCAN, which headers before Linux 6.7 do not have (linux/fs.h, struct pm_scan_arg
// and struct page_region).
struct found_pages {
  uint64_t start, end, kinds;
};

struct page_question {
  uint64_t size, flags, start, end, walk_end, found, found_count, most_pages;
  uint64_t inverted_kinds, all_of_kinds, any_of_kinds, told_kinds;
};

size_t clinux_in_large_pages(const void *start, size_t bytes) {
  enum { most = 64, large = 1 << 6 };
  int pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pages < 0) return 0;
  struct found_pages found[most];
  struct page_question question = {.size = sizeof question,
                                   .start = (uintptr_t)start,
                                   .end = (uintptr_t)start + bytes,
                                   .found = (uintptr_t)found,
                                   .found_count = most,
                                   .all_of_kinds = large,
                                   .told_kinds = large};
  size_t sum = 0;
  for (;;) {
    int count = ioctl(pages, _IOWR('f', 16, struct page_question), &question);
    for (int i = 0; i < count; i++) sum += found[i].end - found[i].start;
    if (count < most) break;
    question.start = question.walk_end;
  }
  close(pages);
  return sum;
}

int clinux_memory_file(const char *name, int64_t bytes) {
  int file = memfd_create(name, MFD_CLOEXEC);
  if (file < 0) return -1;
  // Reserved now: a page that can not be had later would end the process that touches it.
  if (posix_fallocate(file, 0, bytes) != 0) {
    close(file);
    return -1;
  }
  return file;
}

int clinux_random(void *bytes, size_t count) { return getrandom(bytes, count, 0) == (ssize_t)count ? 0 : -1; }
