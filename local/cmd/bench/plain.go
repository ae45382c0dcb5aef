package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"

	"github.com/yunduo-scrm/archive/shared/financesdk"
)

// plain decodes as common Go wrappers of the library do: it parses the PEM for each
// message, uses crypto/rsa, calls the library in its own process, and stores
// nothing.
type plain struct {
	key []byte // PEM, PKCS#8
	sdk *financesdk.SDK
}

// page decodes an answer of GetChatData.
func (p *plain) page(answer []byte) error {
	var page struct {
		ChatData []struct {
			Key     string `json:"encrypt_random_key"`
			Message string `json:"encrypt_chat_msg"`
		} `json:"chatdata"`
	}
	if err := json.Unmarshal(answer, &page); err != nil {
		return err
	}
	for _, record := range page.ChatData {
		block, _ := pem.Decode(p.key)
		if block == nil {
			return errors.New("no PEM")
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return err
		}
		sealed, err := base64.StdEncoding.DecodeString(record.Key)
		if err != nil {
			return err
		}
		//lint:ignore SA1019 WeCom's encryption is PKCS#1 v1.5
		text, err := rsa.DecryptPKCS1v15(nil, key.(*rsa.PrivateKey), sealed)
		if err != nil {
			return err
		}
		raw, err := p.sdk.Decrypt(text, []byte(record.Message))
		if err != nil {
			return err
		}
		var message map[string]any
		_ = json.Unmarshal(raw, &message) // a wrapper drops what is no JSON; the page has such messages
	}
	return nil
}
