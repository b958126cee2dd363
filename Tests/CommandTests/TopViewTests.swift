import Testing
import Tokenization

@testable import glm

@Suite("glm top")
struct TopViewTests {
    private func status(_ generated: Int, sent: Int) throws -> JSONValue {
        try JSONValue(
            parsing: """
                {"state":"ready","model":"m","layout":"1x2","epoch":3,"steps":\(generated),"queued_jobs":1,"running_jobs":2,
                "totals":{"prompt_tokens":100,"cached_tokens":50,"looked_up_tokens":200,"generated_tokens":\(generated),"accepted":9},
                "members":[
                {"worker":"b","state":"ready","stage":0,"rank":1,"memory_bytes":1024,"weight_bytes":512,"busy":0.5,
                "bytes_sent":\(sent),"activity":"idle","kv":{"capacity_bytes":256,"used_bytes":64}},
                {"worker":"a","state":"loading","stage":0,"rank":0,"memory_bytes":0,"weight_bytes":0,"busy":0,
                "bytes_sent":0,"activity":"loading 3%","kv":{"capacity_bytes":0,"used_bytes":0}}]}
                """, source: "the test")
    }

    @Test("rates are the difference of two looks; a coordinator that began anew has none")
    func rates() throws {
        let rates = Rates(from: try status(10, sent: 0), to: try status(34, sent: 2048), seconds: 2)
        #expect(rates.generatedTokens == 12 && rates.steps == 12 && rates.promptTokens == 0)
        #expect(rates.sent["b"] == 1024)
        let anew = Rates(from: try status(10, sent: 9), to: try status(0, sent: 0), seconds: 2)
        #expect(anew.generatedTokens == 0 && anew.sent["b"] == 0)
    }

    @Test("a page shows what there is, in order of stage and rank, and never more than the screen holds")
    func page() throws {
        var view = TopView(width: 200, height: 40, hasStyle: false)
        view.add(Rates(from: try status(10, sent: 0), to: try status(34, sent: 2048), seconds: 2))
        let jobs =
            try JSONValue(
                parsing: """
                    [{"id":"job-2","status":"finished","text":"done\\nwell","prompt_tokens":5,"prefilled_tokens":5,"completion_tokens":3},
                    {"id":"job-1","status":"prefill","prompt_tokens":100,"prefilled_tokens":20,"prefill_seconds_left":90}]
                    """, source: "the test"
            ).elements ?? []
        let page = view.page(try status(34, sent: 2048), jobs: jobs)
        #expect(page[0] == "m: ready, 1x2")
        #expect(page[1].contains("2 running, 1 waiting") && page[1].contains("25%") && page[1].contains("12.0/s"))
        #expect(page[2].hasPrefix("answers") && page[2].contains("12.0 tokens/s") && page[2].hasSuffix("█"))
        let text = page.joined(separator: "\n")
        let places = ["\na ", "\nb ", "job-1", "job-2"].compactMap { text.firstRange(of: $0)?.lowerBound }
        #expect(places.count == 4 && places == places.sorted())
        #expect(text.contains("████░░░░  50%") && text.contains("1.0 KiB") && text.contains("20/100, 1 min 30 s left"))
        #expect(text.contains("done well"))
        for (width, height) in [(80, 24), (20, 5), (1, 1)] {
            view.width = width
            view.height = height
            let small = view.page(try status(34, sent: 2048), jobs: jobs)
            #expect(small.count <= height && small.allSatisfy { $0.count <= width })
        }
    }
}
