package envelope_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/wecom/envelope"
)

// The vectors are published by WeCom's own WXBizMsgCrypt samples (url-check-1,
// event-1) and by xen0n/go-workwx (url-check-2, event-2). The second source does
// not publish the prefix, so the test reads the prefix from the ciphertext.
var vectors = []struct {
	name, token, key, timestamp, nonce, encrypt, signature, prefix, msg, receiveID string
}{
	{
		name: "url-check-1", token: "QDG6eK", key: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
		timestamp: "1409659589", nonce: "263014780",
		encrypt:   "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
		signature: "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", prefix: "c41b64491c2468d0",
		msg: "1616140317555161061", receiveID: "wx5823bf96d3bd56c7",
	},
	{
		name: "event-1", token: "QDG6eK", key: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
		timestamp: "1409659813", nonce: "1372623149",
		encrypt:   "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==",
		signature: "477715d11cdb4164915debcba66cb864d751f3e6", prefix: "0960688932c47ef1",
		msg: "<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>\n<FromUserName><![CDATA[mycreate]]></FromUserName>\n" +
			"<CreateTime>1409659813</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[hello]]></Content>\n" +
			"<MsgId>4561255354251345929</MsgId>\n<AgentID>218</AgentID>\n</xml>",
		receiveID: "wx5823bf96d3bd56c7",
	},
	{
		name: "url-check-2", token: "kjr2TKI8umCBfVF3wAHk8JiPwma5VBme", key: "4Ma3YBrSBbX2aez8MJpXGBne5LSDwgGqHbhM9WPYIws",
		timestamp: "1583940690", nonce: "VHh7ymSeb0jc4lSb",
		encrypt:   "6KmUQuPVu7UhjyVqRdbo5SfcRqaHvbUlKSHFvBV2ZuR6TIlKsygcfeSd1GDplg1C5KSKr6UPHCaC/nIX3ZNt9w==",
		signature: "1ba3cb09c0d2c2b3ed6900d37f91a6efae6cb011",
		msg:       "94966531020182955848408", receiveID: "ww6a112864f8022910",
	},
	{
		name: "event-2", token: "kz7Yx62CH8SaLN", key: "cD0d7jx4tYvVtzqrmh3Dm3QFCXe6f8SlHoMtMh3qQEP",
		timestamp: "1583995625", nonce: "1584392382",
		encrypt:   "EUCt7xMcNiyASzZj0Hjc5yDjFQrCum6AfQ3ntHiUzjGQ51xieKmbvtrZ40/EcB2W/W8yH0n4Lqx48gJl/T9HD/R309I0P/r5pIZucK3lyEn48FYMr4YdE0QdL2jIJ3xkcXUr6uzefzCxG6lMvwpAJaOyVCzN7sRRw47njfxy5EIqU6R9ZBhlTzfdnhhOhK/nTwzrZX3SoGlXFA9OBeZ6ru1NWpXFk76x9DUMe0lcxPPiUqK8ctnQcYXSGUHVqC6DfG7E7mab0OmruNN8cBZY5d3dYOBA4OgaH55Q0AJmUpdT8vNiXpXx+6TxT3TIjySXpDrHVyrsb772aYywgg/Nu4kUmGkALwFZlzhjNegR7wDwb9lr4ERXsSSS8JZ8lbBmaQ3F2Tq584xoPj5rIhXAF734ynm4no1g+SdHiNqR328=",
		signature: "f265ae551b1932727204c3d707628d01376a6940",
		msg: "<xml><ToUserName><![CDATA[ww6a112864f8022910]]></ToUserName><FromUserName><![CDATA[foobar]]></FromUserName>" +
			"<CreateTime>1583995625</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[x123]]></Content>" +
			"<MsgId>2018405441</MsgId><AgentID>1000002</AgentID></xml>",
		receiveID: "ww6a112864f8022910",
	},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			if got := envelope.Sign(v.token, v.timestamp, v.nonce, v.encrypt); got != v.signature {
				t.Errorf("signature: got %s, want %s", got, v.signature)
			}
			key, err := envelope.ParseKey(v.key)
			if err != nil {
				t.Fatal(err)
			}
			prefix := v.prefix
			if prefix == "" {
				prefix = string(open(t, key, v.encrypt)[:16])
			}
			if got := key.Seal([]byte(v.msg), v.receiveID, [16]byte([]byte(prefix))); got != v.encrypt {
				t.Errorf("sealed: got %s, want %s", got, v.encrypt)
			}
		})
	}
}

func TestParseKeyOfSample(t *testing.T) {
	key, err := envelope.ParseKey(vectors[0].key)
	if err != nil {
		t.Fatal(err)
	}
	want := "8d69989bbaabe67328014c194631ad0719b3dca035b64023df292447aab60760"
	if got := hex.EncodeToString(key[:]); got != want {
		t.Errorf("key: got %s, want %s", got, want)
	}
}

func TestSealPadsTo32(t *testing.T) {
	key, err := envelope.ParseKey(vectors[0].key)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 70 {
		msg := strings.Repeat("m", n)
		plain := open(t, key, key.Seal([]byte(msg), "ww1", [16]byte{}))
		pad := int(plain[len(plain)-1])
		if len(plain)%32 != 0 || pad < 1 || pad > 32 {
			t.Fatalf("%d bytes of message: got %d bytes padded by %d, want a multiple of 32", n, len(plain), pad)
		}
		if got := binary.BigEndian.Uint32(plain[16:]); got != uint32(n) {
			t.Errorf("length field: got %d, want %d", got, n)
		}
		if got := string(plain[20 : len(plain)-pad]); got != msg+"ww1" {
			t.Errorf("%d bytes of message: got %q", n, got)
		}
	}
}

func TestParseKeyRefusals(t *testing.T) {
	for name, key := range map[string]string{
		"empty": "", "short": strings.Repeat("a", 42), "long": strings.Repeat("a", 44),
		"not base64": strings.Repeat("!", 43),
	} {
		if _, err := envelope.ParseKey(key); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// open decrypts a sealed text without any code of the product.
func open(t *testing.T, key envelope.Key, encrypt string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, key[:16]).CryptBlocks(b, b)
	return b
}
