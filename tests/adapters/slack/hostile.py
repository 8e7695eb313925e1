"""What nobody should be able to smuggle into a message."""

HOSTILE = {
    "a room's mention": "<!channel> look",
    "a person's mention": "<@U0EVIL>",
    "a link": "<https://evil.example|your bank>",
    "an address to be linked": "https://evil.example/x?a=1&b=2",
    "formatting": "*bold* _slanted_ ~struck~ > quote",
    "backticks": "`code` ```more```",
    "an entity": "&lt;!here&gt; &amp;",
    "emoji": "👩\u200d💻 :tada: 🎉",
    "right to left": "\u202eexample.acme\u202c שלום",
    "more lines": "x\n*Approved by* everybody\r\nIn force",
    "three thousand letters": "n" * 3000,
    "three thousand signs": "<&>" * 1000,
    "three thousand backticks": "`" * 3000,
}
ALLOWED_TOKENS = {"<@U0ALICE>", "<@U0BOB>", "<@U0CAROL>", "<!date>"}
