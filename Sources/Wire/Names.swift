import CWire
import Core

// The enums of proto/wire.proto and ours, side by side. A value without a partner is refused by the decoder.

extension Problem.Kind {
    static let wire: [(Problem.Kind, Wire__ProblemKind)] = [
        (.invalid, WIRE__PROBLEM_KIND__PROBLEM_KIND_INVALID),
        (.notFound, WIRE__PROBLEM_KIND__PROBLEM_KIND_NOT_FOUND),
        (.refused, WIRE__PROBLEM_KIND__PROBLEM_KIND_REFUSED),
        (.unavailable, WIRE__PROBLEM_KIND__PROBLEM_KIND_UNAVAILABLE),
        (.cancelled, WIRE__PROBLEM_KIND__PROBLEM_KIND_CANCELLED),
        (.failed, WIRE__PROBLEM_KIND__PROBLEM_KIND_FAILED),
        (.busy, WIRE__PROBLEM_KIND__PROBLEM_KIND_BUSY),
    ]
}

extension FinishReason {
    static let wire: [(FinishReason, Wire__FinishReason)] = [
        (.stop, WIRE__FINISH_REASON__FINISH_REASON_STOP),
        (.length, WIRE__FINISH_REASON__FINISH_REASON_LENGTH),
        (.cancelled, WIRE__FINISH_REASON__FINISH_REASON_CANCELLED),
        (.error, WIRE__FINISH_REASON__FINISH_REASON_ERROR),
    ]
}

extension JobState.Phase {
    static let wire: [(JobState.Phase, Wire__JobPhase)] = [
        (.queued, WIRE__JOB_PHASE__JOB_PHASE_QUEUED),
        (.prefill, WIRE__JOB_PHASE__JOB_PHASE_PREFILL),
        (.decode, WIRE__JOB_PHASE__JOB_PHASE_DECODE),
        (.finished, WIRE__JOB_PHASE__JOB_PHASE_FINISHED),
        (.failed, WIRE__JOB_PHASE__JOB_PHASE_FAILED),
        (.cancelled, WIRE__JOB_PHASE__JOB_PHASE_CANCELLED),
    ]
}

extension APIKey.Scope {
    static let wire: [(APIKey.Scope, Wire__KeyScope)] = [
        (.watch, WIRE__KEY_SCOPE__KEY_SCOPE_WATCH),
        (.use, WIRE__KEY_SCOPE__KEY_SCOPE_USE),
        (.admin, WIRE__KEY_SCOPE__KEY_SCOPE_ADMIN),
    ]
}

extension WeightType {
    /// nil is "as stored".
    static let wire: [(WeightType?, Wire__WeightType)] = [
        (nil, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_AS_STORED),
        (.f32, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_F32),
        (.bf16, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_BF16),
        (.f16, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_F16),
        (.q8, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_Q8),
        (.q4, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_Q4),
        (.q4m, WIRE__WEIGHT_TYPE__WEIGHT_TYPE_Q4M),
    ]
}

extension KVType {
    /// nil is what goes with the weights.
    static let wire: [(KVType?, Wire__KvType)] = [
        (nil, WIRE__KV_TYPE__KV_TYPE_DEFAULT),
        (.f32, WIRE__KV_TYPE__KV_TYPE_F32),
        (.f16, WIRE__KV_TYPE__KV_TYPE_F16),
        (.q8, WIRE__KV_TYPE__KV_TYPE_Q8),
        (.q4, WIRE__KV_TYPE__KV_TYPE_Q4),
    ]
}

extension Embedding {
    static let wire: [(Embedding, Wire__Embedding)] = [
        (.mean, WIRE__EMBEDDING__EMBEDDING_MEAN),
        (.last, WIRE__EMBEDDING__EMBEDDING_LAST),
    ]
}

extension AnswerGrammar.Notation {
    static let wire: [(AnswerGrammar.Notation, Wire__Notation)] = [
        (.gbnf, WIRE__NOTATION__NOTATION_GBNF),
        (.regex, WIRE__NOTATION__NOTATION_REGEX),
        (.jsonSchema, WIRE__NOTATION__NOTATION_JSON_SCHEMA),
        (.literal, WIRE__NOTATION__NOTATION_LITERAL),
        (.text, WIRE__NOTATION__NOTATION_TEXT),
    ]
}

extension AnswerGrammar.Link {
    static let wire: [(AnswerGrammar.Link, Wire__GrammarLink)] = [
        (.line, WIRE__GRAMMAR_LINK__GRAMMAR_LINK_LINE), (.turn, WIRE__GRAMMAR_LINK__GRAMMAR_LINK_TURN),
    ]
}

extension LinkWay {
    static let wire: [(LinkWay, Wire__LinkWay)] = [
        (.ring, WIRE__LINK_WAY__LINK_WAY_RING),
        (.socket, WIRE__LINK_WAY__LINK_WAY_SOCKET),
    ]
}

/// The partner of `value`; 0, which every receiver refuses, when it has none.
func wireValue<Ours: Equatable, Theirs: RawRepresentable<UInt32>>(
    _ value: Ours, in table: [(Ours, Theirs)], unspecified: Theirs
) -> Theirs {
    table.first { $0.0 == value }?.1 ?? unspecified
}
