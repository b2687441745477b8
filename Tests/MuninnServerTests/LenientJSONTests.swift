import MuninnServer
import Testing

/// How request bodies are read.
@Suite struct LenientJSONTests {
  private func read(_ body: String) throws -> [String: JSONValue] {
    try LenientJSON.object(in: Array(body.utf8)).members
  }

  @Test(arguments: [
    (#"{"a":"b"}"#, "b"),
    (#"{'a':'b'}"#, "b"),
    (#"{a:'b'}"#, "b"),
    (#"{'a':'b',}"#, "b"),
    ("{/* one */ 'a': 'b' // two\n}", "b"),
    // Backslashes that begin no JSON escape stand for themselves.
    (#"{'a':'~\FileSystem\X'}"#, #"~\FileSystem\X"#),
    (#"{'a':'~\\FileSystem\\X'}"#, #"~\FileSystem\X"#),
    (#"{'a':'c:\Data\x'}"#, #"c:\Data\x"#),
    (#"{'a':'\users\up'}"#, #"\users\up"#),
    (#"{'a':'\u00e9\u00E9'}"#, "éé"),
    (#"{'a':'\u00g0'}"#, #"\u00g0"#),
    (#"{'a':'\temp'}"#, "\temp"),
    (#"{'a':'\/x\"y'}"#, "/x\"y"),
    // A closing quote after a backslash closes; one inside a text is escaped.
    (#"{'a':'~\backups\'}"#, "~\u{8}ackups\\"),
    (#"{'a':'it\'s'}"#, "it's"),
  ])
  func readsText(_ body: String, _ expected: String) throws {
    #expect(try read(body)["a"] == .string(expected))
  }

  @Test func readsEveryKindOfValue() throws {
    let members = try read(
      "{n:null,t:true,f:false,i:-7,u:18446744073709551615,d:1.5,h:0x10,p:+3,l:[1,'x',{}],o:{a:[]}}")
    #expect(members["n"] == .null)
    #expect(members["t"] == .bool(true))
    #expect(members["f"] == .bool(false))
    #expect(members["i"] == .integer(-7))
    #expect(members["u"] == .unsigned(.max))
    #expect(members["d"] == .number(1.5))
    #expect(members["h"] == .integer(16))
    #expect(members["p"] == .integer(3))
    #expect(members["l"] == .array([.integer(1), .string("x"), .object([:])]))
    #expect(members["o"] == .object(["a": .array([])]))
  }

  @Test(arguments: [
    "", "  \n", "{", "}", "[]", "'text'", "7", "null", "{'a'}", "{'a':}", "{'a':'b'", "{'a':NaN}",
    "{'a':-Infinity}", "{'a':'\\", "{\"a\": \u{1}}", "a=b&c=d",
  ])
  func refusesWith400(_ body: String) {
    let error = #expect(throws: Refusal.self) { try read(body) }
    #expect(error?.status == .badRequest)
    #expect(error?.message.isEmpty == false)
  }

  @Test(arguments: [65, 300, 600, 5000])
  func refusesDeepNesting(_ depth: Int) {
    let body =
      "{'a':" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
    #expect(throws: Refusal.self) { try read(body) }
  }

  @Test func refusesBytesThatAreNotUTF8() {
    #expect(throws: Refusal.self) {
      try LenientJSON.object(in: Array("{'a':'".utf8) + [0xFF, 0xFE] + Array("'}".utf8))
    }
  }

  @Test func escapesOfJSONAreRead() throws {
    let good = #"{"a":"\" \\ \/ \b \f \n \r \t \u12aB \ud83D\uDe00"}"#
    #expect(
      try read(good)["a"] == .string("\" \\ / \u{8} \u{C} \n \r \t \u{12AB} \u{1F600}"))
  }

  @Test(
    arguments: [
      ("0", .integer(0)), ("-0", .integer(0)), ("9223372036854775807", .integer(.max)),
      ("-9223372036854775808", .integer(.min)), ("18446744073709551615", .unsigned(.max)),
      ("18446744073709551616", .number(18_446_744_073_709_551_616)),
      ("-9223372036854775809", .number(-9_223_372_036_854_775_808)), (".5", .number(0.5)),
      ("5.", .number(5)), ("+1.25e2", .number(125)), ("1E-2", .number(0.01)),
      ("0xFF", .integer(255)), ("-0x10", .integer(-16)),
    ] as [(String, JSONValue)])
  func readsNumbers(_ text: String, _ value: JSONValue) throws {
    #expect(try read("{a:\(text)}")["a"] == value)
  }

  @Test(arguments: [
    "01", "1e", "1e+", ".", "+", "-", "--1", "1.2.3", "0x", "0xG", "1e999", "1_0", "e5", "٣",
  ])
  func refusesNumbers(_ text: String) {
    #expect(throws: Refusal.self) { try read("{a:\(text)}") }
  }

  @Test(arguments: [#"{"a":"\ud83d"}"#, #"{"a":"\ud83dx"}"#, #"{"a":"\ude00"}"#])
  func refusesHalfPairs(_ body: String) {
    #expect(throws: Refusal.self) { try read(body) }
  }

  @Test func messagesSayWhere() {
    let error = #expect(throws: Refusal.self) { try read("{'a':1,\n 'b' 2}") }
    #expect(error?.message.contains("line 2, column 6") == true, "\(error?.message ?? "")")
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    let value = JSONValue.object([
      "é\n\"\\": .array([.null, .bool(true), .integer(-1), .number(0.1), .unsigned(.max)]),
      "\u{1F600}/": .object(["": .string("\u{1}\u{7F}'")]),
    ])
    #expect(try JSONValue(text: value.text()) == value)
  }

  @Test func namesMatchExactlyFirstThenIgnoringCase() throws {
    let object = RequestObject([
      "name": .string("low"), "Name": .string("exact"), "OTHER": .bool(true),
    ])
    #expect(try object.string("Name") == "exact")
    #expect(try object.string("NAME") != nil)
    #expect(try object.bool("other") == true)
    #expect(object["missing"] == nil)
  }

  @Test func nullIsTheSameAsAbsent() throws {
    let object = RequestObject(["a": .null])
    #expect(try object.string("a") == nil)
    #expect(try object.bool("a") == nil)
    #expect(try object.seconds("a") == nil)
    #expect(try object.strings("a").isEmpty)
    #expect(try object.object("a") == nil)
  }

  @Test func wrongKindsAreRefused() {
    let object = RequestObject(["a": .array([.integer(1)]), "n": .integer(-1)])
    #expect(throws: Refusal.self) { try object.string("a") }
    #expect(throws: Refusal.self) { try object.bool("a") }
    #expect(throws: Refusal.self) { try object.strings("a") }
    #expect(throws: Refusal.self) { try object.object("a") }
    #expect(throws: Refusal.self) { try object.seconds("n") }
  }

  @Test func anyBytesAreReadOrRefused() {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array(#"{}[]:,'"\ubnrtx0123456789abcdefE+-./* truefalsenull\#u{FF}"#.utf8)
    for _ in 0..<2000 {
      let length = Int.random(in: 0..<40, using: &generator)
      let body = (0..<length).compactMap { _ in alphabet.randomElement(using: &generator) }
      // Whatever it is, it ends in an object or in a refusal.
      _ = Result { try LenientJSON.object(in: [UInt8(ascii: "{")] + body) }
    }
  }
}
