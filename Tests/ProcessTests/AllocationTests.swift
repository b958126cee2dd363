import FoundationEssentials
import Testing

/// A step of an answer takes nothing from the heap: what it needs was allocated by the steps before it.
@Suite("Allocations of a step", .serialized, .timeLimit(.minutes(5)))
struct AllocationTests {
    /// Stands before the C library's functions, counts their calls, and says the number when the program ends.
    private static let counter = """
        #include <stdatomic.h>
        #include <stddef.h>
        #include <stdio.h>
        extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
        extern void *__libc_memalign(size_t, size_t);
        static _Atomic unsigned long calls;
        __attribute__((destructor)) static void say(void) { fprintf(stderr, "allocations %lu\\n", calls); }
        void *malloc(size_t n) { calls++; return __libc_malloc(n); }
        void *calloc(size_t n, size_t m) { calls++; return __libc_calloc(n, m); }
        void *realloc(void *p, size_t n) { calls++; return __libc_realloc(p, n); }
        void *memalign(size_t a, size_t n) { calls++; return __libc_memalign(a, n); }
        void *aligned_alloc(size_t a, size_t n) { calls++; return __libc_memalign(a, n); }
        int posix_memalign(void **p, size_t a, size_t n) { calls++; return (*p = __libc_memalign(a, n)) ? 0 : 12; }
        """

    /// A small random model and the counter, in a folder of their own.
    private struct Trial {
        let scratch: Scratch
        var model: String { scratch.path + "/model" }

        init() async throws {
            scratch = try Scratch()
            let source = try scratch.write("counter.c", AllocationTests.counter)
            let built = try await Command.run(
                ["-shared", "-fPIC", "-O1", source, "-o", scratch.path + "/counter.so"], program: "clang")
            try #require(built.status == 0, "\(built.errors)")
            let made = try await Command.run(["model", "make", "random", "--out", model])
            try #require(made.status == 0, "\(made.errors)")
        }

        /// Calls of the C library's functions while `glm` runs.
        func count(_ arguments: [String]) async throws -> Int {
            let run = try await Command.run(arguments, environment: ["LD_PRELOAD=\(scratch.path)/counter.so"])
            try #require(run.status == 0, "\(run)")
            let line = run.errors.split(separator: "\n").last { $0.hasPrefix("allocations ") }
            return try #require(line.flatMap { Int($0.dropFirst(12)) }, "\(run)")
        }

        /// Calls for each of a hundred tokens behind the first `fewer`.
        ///
        /// Rounded down: lists that hold something of every token (a sequence's pages, what was drawn) grow now and then.
        func countPerStep(_ arguments: [String], flag: String, fewer: Int) async throws -> Int {
            let long = try await count(arguments + [flag, "\(fewer + 100)"])
            let short = try await count(arguments + [flag, "\(fewer)"])
            return (long - short) / 100
        }
    }

    @Test(
        "a step of answers allocates nothing, whatever the weights, the cache, the threads and the jobs",
        arguments: [
            "--type f32 --threads 1", "--type f32 --threads 2", "--type q8 --threads 1", "--type q8 --threads 2",
            "--type q4 --threads 2 --kv-type q8", "--type q8 --threads 2 --jobs 4",
            "--type f32 --threads 2 --prefill 700", "--type q8 --threads 2 --prefill 3000 --attention sparse",
        ])
    func steps(flags: String) async throws {
        let trial = try await Trial()
        let flags = flags.split(separator: " ").map(String.init)
        let found = try await trial.countPerStep(
            ["bench", "model", "--model", trial.model, "--repeats", "1", "--prefill", "16"] + flags, flag: "--decode",
            fewer: 40)
        #expect(found == 0)
    }

    @Test(
        "nor does a step that guesses tokens or draws them by chance",
        arguments: [
            "--temperature 0", "--temperature 0.8", "--temperature 0.8 --top-p 0.9",
            "--temperature 0.8 --top-p 0.9 --top-k 40", "--temperature 0.8 --repetition-penalty 1.1",
        ])
    func generation(flags: String) async throws {
        let trial = try await Trial()
        // Without a tokenizer there is no text, which would be made on the heap; without stop tokens there is no end.
        try FileManager.default.removeItem(atPath: trial.model + "/tokenizer.model")
        let configuration = trial.scratch.text("model/config.json").split(separator: "\n")
        _ = try trial.scratch.write(
            "model/config.json", configuration.filter { !$0.contains("eos_token_id") }.joined(separator: "\n"))
        let flags = flags.split(separator: " ").map(String.init)
        let found = try await trial.countPerStep(
            ["generate", "--model", trial.model, "--type", "q8", "--threads", "2", "--tokens", "1,2,3,1,2,3,1,2"]
                + flags,
            flag: "--max-tokens", fewer: 200)
        #expect(found == 0)
    }
}
