import Core

/// Which keywords of JSON Schema are obeyed, which say nothing about the text, and which are refused, with the reason.
enum SchemaKeywords {
    /// Those that put schemas together.
    static let combining: Set<String> = ["$ref", "allOf", "anyOf", "oneOf"]

    /// Those that say what a value is.
    static let describing: Set<String> = [
        "type", "nullable", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "pattern", "format", "items", "prefixItems", "additionalItems", "minItems",
        "maxItems",
        "uniqueItems", "properties", "required", "additionalProperties", "unevaluatedProperties", "minProperties",
        "maxProperties",
    ]

    /// Those that no text drawn token by token can be held to here.
    static let refused: [String: String] = [
        "not": "write what is wanted instead",
        "if": "write the cases as anyOf",
        "dependentSchemas": "write the cases as anyOf",
        "dependentRequired": "write the cases as anyOf",
        "dependencies": "write the cases as anyOf",
        "contains": "describe the elements with items or prefixItems",
        "unevaluatedItems": "use items",
        "patternProperties": "name the keys in properties, or use additionalProperties",
        "propertyNames": "name the keys in properties, or use additionalProperties",
        "$dynamicRef": "use $ref",
        "$recursiveRef": "use $ref",
    ]

    /// The types, with the keywords that speak of each: they tell what a schema without a type means.
    static let kinds: [(kind: SchemaShape.Kind, keywords: Set<String>)] = [
        (
            .object,
            [
                "properties", "required", "additionalProperties", "unevaluatedProperties", "minProperties",
                "maxProperties",
            ]
        ),
        (.array, ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"]),
        (.string, ["minLength", "maxLength", "pattern", "format"]),
        (.number, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ]
}
