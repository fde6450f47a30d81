"""A model's answers as bytes, well-formed, and the words that their readers might trip over."""

EVENTS = (
    b'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"he"}}]}\n\n',
    b'data: {"choices":[{"index":1,"delta":{"content":"\\u00e9\\ud83d"}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{"reasoning_content":"é😀"}}]}\r\n\r\n'.encode(),
    b'data: {"choices":\ndata: [{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}\n\n',
    b'data: {"choices":[{"index":0,"text":"t","logprobs":{"tokens":["t"],"top_logprobs":[{"t":-1.5}]}}]}\r\r',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[{"index":1,"delta":{"content":"end"},"finish_reason":"length"}],"usage":null}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}\n\n',
    b": ping\n\n",
    b'event: error\ndata: {"error":{"message":"x"}}\n\n',
    b"id: 7\nretry: 10\n\n",
    b'data: {"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"t","logprob":-1,"bytes":[116]}]}}]}\n\n',
    b"data: [DONE]\n\n",
)
WHOLE = (
    b'{"choices":[{"index":0,"message":{"content":"hello\\u00e9"}}],"usage":{"prompt_tokens":5,"completion_tokens":3}}',
    b'{"choices":[{"index":0,"text":"a"},{"index":1,"text":"b","logprobs":null}],"usage":null}',
    b'{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}',
)
WHOLE_TOKENS = (
    b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"logprobs":{"content":[{"token":"hi",'
    b'"logprob":-1,"bytes":[104,105],"top_logprobs":[{"token":"ho","logprob":-2,"bytes":[104,111]}]}]}}]}'
)
WHOLE_INFERENCE = (
    b'{"model_name":"m","model_version":"1","id":"a","parameters":{"a":"b"},"outputs":[{"name":"o","datatype":"BYTES",'
    b'"shape":[2],"data":["hello","x"],"parameters":{"content_type":"str"}},'
    b'{"name":"n","datatype":"FP32","shape":[1,2],"data":[[1.5,2]]}]}'
)
WORDS = (
    *(b"data: ", b"data:", b"data", b"event: x\n", b":", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\xef\xbb\xbf"),
    *(b"[DONE]",),
    *(b'"choices":', b'"choices":[]', b'"choices":null', b'"index":0', b'"index":1', b'"index":-1', b'"index":true'),
    *(b'"index":"0"',),
    *(b'"delta":', b'"content":"x"', b'"content":7', b'"finish_reason":"stop"', b'"finish_reason":0', b'"error":{}'),
    *(b'"text":"x"',),
    *(b'"usage":{"prompt_tokens":-1}', b'"usage":{"completion_tokens":1e3}', b'"usage":[]', b'"usage":{}'),
    *(b'"a":{' * 40, b"[" * 40),
    *(b"NaN", b"1e999", b"\\ud800", b"\xff", b"null", b"{}", b"[]", b'""', b"{", b"}", b"1" * 5000),
    *(b'"content":"a","content":"b",',),
)  # fmt: skip
