package opaque

import "net/url"

// The uses that the API has. Each names the corp, so that a text is useless in
// another corp.

// Conversation is the use of the ids of conversations.
func Conversation(corp string) Use { return UseOf("conversation", corp) }

// Message is the use of the ids of messages.
func Message(corp string) Use { return UseOf("message", corp) }

// Page is the use of the page tokens of a list. A token fits the same path,
// which names corp and route, and the same query. The limit may change from
// page to page.
func Page(path string, query url.Values) Use {
	list := url.Values{}
	for name, values := range query {
		if name != "limit" && name != "page" {
			list[name] = values
		}
	}
	return UseOf("page", path, list.Encode())
}
