import Glibc
import Testing

@testable import Threads

@Suite("Mailbox")
struct MailboxTests {
    @Test("items of many producers all arrive, each producer's in order")
    func producers() {
        let box = Mailbox<(Int, Int)>()
        let threads = (0..<4).map { who in
            Thread(name: "producer") {
                for i in 0..<5000 { box.put((who, i)) }
            }
        }
        var next = [0, 0, 0, 0]
        for _ in 0..<20_000 {
            guard let (who, i) = box.take(timeout: .seconds(10)) else { break }
            #expect(next[who] == i)
            next[who] = i + 1
        }
        threads.forEach { $0.join() }
        #expect(next == [5000, 5000, 5000, 5000])
        #expect(box.poll() == nil)
    }

    @Test("taking from an empty mailbox ends with its time")
    func timeout() {
        let box = Mailbox<Int>()
        let start = ContinuousClock.now
        #expect(box.take(timeout: .milliseconds(5)) == nil)
        #expect(ContinuousClock.now - start >= .milliseconds(5))
    }

    @Test("a closed mailbox gives what is left, then nil, and takes nothing more")
    func closing() {
        let box = Mailbox<Int>()
        box.put(1)
        box.close()
        #expect(!box.put(2))
        #expect(box.take() == 1)
        #expect(box.take() == nil)
    }

    @Test("closing wakes who waits")
    func closingWakes() {
        let box = Mailbox<Int>()
        let waiter = Thread(name: "waiter") { #expect(box.take() == nil) }
        box.close()
        waiter.join()
    }

    @Test("the descriptor is readable from a put until the signal is cleared")
    func descriptor() {
        let box = Mailbox<Int>(isPollable: true)
        func isReadable() -> Bool {
            var item = pollfd(fd: box.descriptor, events: Int16(POLLIN), revents: 0)
            return Glibc.poll(&item, 1, 0) == 1
        }
        #expect(!isReadable())
        box.put(7)
        #expect(isReadable())
        box.clearSignal()
        #expect(!isReadable())
        #expect(box.poll() == 7)
    }
}
