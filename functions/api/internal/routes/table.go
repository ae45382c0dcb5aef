// Package routes is the table of the API's operations and the path of a request
// through it: token, corp, role, input, answer, log line.
package routes

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/changes"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/console"
	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/doctor"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
)

// Subjects answer the operations.
type Subjects struct {
	Callback  *callback.Handlers
	Setup     *setup.Handlers
	Directory *directory.Handlers
	Doctor    *doctor.Handlers
	Proof     *proof.Handlers
	Chats     *chats.Handlers
	Console   *console.Handlers
	Session   *session.Handlers
	Changes   *changes.Handlers
	Version   string // of the running code
}

// Route is one operation of openapi.yaml. A test compares every field with the
// document.
type Route struct {
	Method, Path string
	// Roles are the roles that the route admits; nil for a route that WeCom or a
	// load balancer calls without a token.
	Roles []session.Role
	// Limited routes keep the limit of a caller whose token names members in its
	// staff claim. Every other route refuses such a caller, whatever its role.
	Limited bool
	Query   []string // parameters that the route knows; unchecked where Roles is nil
	Body    []string // members of the JSON object; nil for a route without a body
	Bytes   int      // longest body; 0 for [input.MaxBody]
	// Lenient routes take a body with control characters in its texts, with wrong
	// escapes, or with bytes that are not UTF-8.
	Lenient bool
	// Tagged routes answer an ETag, and 304 to a caller who has the same answer.
	Tagged bool
	// Unregistered routes accept a corp that is not registered.
	Unregistered bool
	// Remembered routes may see the corp as it was a minute ago.
	Remembered bool
	Serve      func(context.Context, *session.Call) (output.Answer, error)
}

// Table lists the operations.
func Table(s Subjects) []Route {
	return []Route{
		{Method: "GET", Path: "/health", Serve: s.health},
		{Method: "GET", Path: "/console", Serve: s.Console.Serve},
		{Method: "HEAD", Path: "/console", Serve: s.Console.Serve},
		{Method: "GET", Path: "/console/{file...}", Serve: s.Console.Serve},
		{Method: "HEAD", Path: "/console/{file...}", Serve: s.Console.Serve},
		{Method: "GET", Path: "/callback/{corpid}", Serve: s.Callback.VerifyCallback},
		{Method: "POST", Path: "/callback/{corpid}", Serve: s.Callback.ReceiveEvent},
		{Method: "GET", Path: "/callback/{corpid}/app", Serve: s.Callback.VerifyAppCallback},
		{Method: "POST", Path: "/callback/{corpid}/app", Serve: s.Callback.ReceiveAppEvent},

		{Method: "GET", Path: "/v1/session", Roles: session.Anyone, Limited: true, Unregistered: true, Serve: s.Session.GetSession},

		{Method: "GET", Path: "/v1/corps/{corpid}", Roles: session.SetUp, Serve: s.Setup.GetCorp},
		{Method: "PUT", Path: "/v1/corps/{corpid}", Roles: session.SetUp, Body: []string{"name"}, Unregistered: true, Serve: s.Setup.PutCorp},
		{Method: "GET", Path: "/v1/corps/{corpid}/setup", Roles: session.SetUp, Tagged: true, Serve: s.Setup.GetSetup},
		{Method: "PUT", Path: "/v1/corps/{corpid}/setup", Roles: session.SetUp, Body: []string{"secret", "publickey_ver", "key_id"}, Serve: s.Setup.PutSetup},
		{Method: "POST", Path: "/v1/corps/{corpid}/keys", Roles: session.SetUp, Serve: s.Setup.RotateKey},
		{Method: "POST", Path: "/v1/corps/{corpid}/keys/import", Roles: session.SetUp, Body: []string{"private_key", "publickey_ver"}, Serve: s.Setup.ImportKey},
		{Method: "POST", Path: "/v1/corps/{corpid}/callback/rotate", Roles: session.SetUp, Body: []string{"revoke_old"}, Serve: s.Setup.RotateCallback},
		{Method: "PUT", Path: "/v1/corps/{corpid}/state", Roles: session.SetUp, Body: []string{"enabled", "reason"}, Serve: s.Setup.PutState},
		{Method: "GET", Path: "/v1/corps/{corpid}/app", Roles: session.SetUp, Serve: s.Setup.GetApp},
		{Method: "PUT", Path: "/v1/corps/{corpid}/app", Roles: session.SetUp, Body: []string{"secret", "agent_id"}, Serve: s.Setup.PutApp},
		{Method: "POST", Path: "/v1/corps/{corpid}/app/callback/rotate", Roles: session.SetUp, Body: []string{"revoke_old"}, Serve: s.Setup.RotateAppCallback},
		{Method: "GET", Path: "/v1/corps/{corpid}/inspect", Roles: session.Observe, Tagged: true, Serve: s.Directory.GetInspection},
		{Method: "POST", Path: "/v1/corps/{corpid}/inspect", Roles: session.SetUp, Body: []string{"pairs", "rooms"}, Serve: s.Directory.RequestInspection},
		{Method: "GET", Path: "/v1/corps/{corpid}/scope", Roles: session.Observe, Query: []string{"day", "limit", "page"}, Serve: s.Directory.ListScope},

		{Method: "GET", Path: "/v1/corps/{corpid}/doctor", Roles: session.Observe, Serve: s.Doctor.GetDoctor},
		{Method: "POST", Path: "/v1/corps/{corpid}/doctor", Roles: session.SetUp, Serve: s.Doctor.RequestDoctor},
		{Method: "GET", Path: "/v1/corps/{corpid}/doctor/changes", Roles: session.Observe, Query: []string{"limit", "page"}, Serve: s.Doctor.ListChanges},

		{Method: "GET", Path: "/v1/corps/{corpid}/changes", Roles: session.Anyone, Limited: true, Tagged: true, Serve: s.Changes.GetChanges},
		{Method: "GET", Path: "/v1/corps/{corpid}/people", Roles: session.Anyone, Limited: true, Query: []string{"kind", "q", "with", "sort", "limit", "page"}, Serve: s.Directory.ListPeople},
		{Method: "GET", Path: "/v1/corps/{corpid}/contacts", Roles: session.SetUp, Query: []string{"ids", "limit", "page"}, Serve: s.Directory.ListContacts},
		{Method: "PUT", Path: "/v1/corps/{corpid}/contacts", Roles: session.SetUp, Body: []string{"contacts"}, Bytes: directory.GivenBytes, Lenient: true, Serve: s.Directory.PutContacts},
		{Method: "GET", Path: "/v1/corps/{corpid}/rooms", Roles: session.Anyone, Query: []string{"ids", "q", "members", "limit", "page"}, Serve: s.Directory.ListRooms},
		{Method: "PUT", Path: "/v1/corps/{corpid}/rooms", Roles: session.SetUp, Body: []string{"rooms"}, Bytes: directory.GivenBytes, Lenient: true, Serve: s.Directory.PutRooms},
		{Method: "GET", Path: "/v1/corps/{corpid}/consents", Roles: session.Read, Limited: true, Query: []string{"member", "external_contact", "room", "limit", "page"}, Serve: s.Directory.ListConsents},

		{Method: "GET", Path: "/v1/corps/{corpid}/consents/history", Roles: session.Read, Limited: true, Query: []string{"member", "external_contact", "room", "at", "limit", "page"}, Serve: s.Directory.ListConsentHistory},
		{Method: "GET", Path: "/v1/corps/{corpid}/consents/summary", Roles: session.Observe, Serve: s.Directory.SumConsents},

		{Method: "POST", Path: "/v1/corps/{corpid}/pull", Roles: session.SetUp, Serve: s.Setup.RequestPull},
		{Method: "GET", Path: "/v1/corps/{corpid}/status", Roles: session.Observe, Tagged: true, Serve: s.Proof.GetStatus},
		{Method: "GET", Path: "/v1/corps/{corpid}/ledger", Roles: session.Prove, Query: []string{"from", "day", "order", "limit"}, Serve: s.Proof.ListLedger},
		{Method: "GET", Path: "/v1/corps/{corpid}/activity", Roles: session.Observe, Query: []string{"days", "from"}, Serve: s.Proof.GetActivity},
		{Method: "GET", Path: "/v1/corps/{corpid}/statements", Roles: session.Observe, Query: []string{"from", "to"}, Serve: s.Proof.ListStatements},
		{Method: "GET", Path: "/v1/corps/{corpid}/statements/{day}", Roles: session.Observe, Serve: s.Proof.GetStatement},
		{Method: "GET", Path: "/v1/corps/{corpid}/types", Roles: session.Observe, Query: []string{"from_day", "to_day"}, Serve: s.Proof.ListTypes},
		{Method: "GET", Path: "/v1/corps/{corpid}/set-aside", Roles: session.Observe, Query: []string{"limit", "page"}, Serve: s.Proof.ListSetAside},
		{Method: "GET", Path: "/v1/corps/{corpid}/files", Roles: session.Observe, Query: []string{"state", "limit", "page"}, Serve: s.Chats.ListFiles},
		{Method: "POST", Path: "/v1/corps/{corpid}/replays", Roles: session.Observe, Body: []string{"from_seq", "to_seq", "set_aside_only", "publickey_ver", "verify"}, Serve: s.Proof.CreateReplay},
		{Method: "GET", Path: "/v1/corps/{corpid}/replays", Roles: session.Observe, Tagged: true, Serve: s.Proof.ListReplays},
		{Method: "GET", Path: "/v1/corps/{corpid}/replays/{id}", Roles: session.Observe, Serve: s.Proof.GetReplay},
		{Method: "POST", Path: "/v1/corps/{corpid}/replays/{id}/stop", Roles: session.Observe, Serve: s.Proof.StopReplay},
		{Method: "GET", Path: "/v1/corps/{corpid}/events", Roles: session.Prove, Query: []string{"day", "limit", "page"}, Serve: s.Proof.ListEvents},
		{Method: "GET", Path: "/v1/corps/{corpid}/readings", Roles: session.Observe, Query: []string{"from_day", "to_day", "viewer", "conversation", "party", "limit", "page"}, Serve: s.Proof.ListReadings},

		{Method: "PUT", Path: "/v1/corps/{corpid}/seen", Roles: session.Read, Limited: true, Remembered: true, Body: []string{"conversation", "until"}, Serve: s.Chats.MarkSeen},
		{Method: "GET", Path: "/v1/corps/{corpid}/conversations", Roles: session.Read, Limited: true, Remembered: true, Tagged: true, Query: []string{"member", "external_contact", "room", "unplaced", "rooms", "q", "day", "kind", "external", "since", "limit", "page"}, Serve: s.Chats.ListConversations},
		{Method: "GET", Path: "/v1/corps/{corpid}/conversations/{conversation}", Roles: session.Read, Limited: true, Remembered: true, Serve: s.Chats.GetConversation},
		{Method: "GET", Path: "/v1/corps/{corpid}/conversations/{conversation}/days", Roles: session.Read, Limited: true, Remembered: true, Query: []string{"month"}, Serve: s.Chats.ListDays},
		{Method: "GET", Path: "/v1/corps/{corpid}/conversations/{conversation}/messages", Roles: session.Read, Limited: true, Remembered: true, Query: []string{"from", "to", "around", "at", "revoked", "kinds", "files", "msgid", "omit", "order", "limit", "page"}, Serve: s.Chats.ListMessages},
		{Method: "GET", Path: "/v1/corps/{corpid}/conversations/{conversation}/search", Roles: session.Read, Limited: true, Remembered: true, Query: []string{"q", "kinds", "from_party", "from", "to", "order", "limit", "page"}, Serve: s.Chats.SearchMessages},
		{Method: "POST", Path: "/v1/corps/{corpid}/messages:batch", Roles: session.Read, Limited: true, Remembered: true, Body: []string{"ids", "omit"}, Bytes: chats.IDsBytes, Serve: s.Chats.GetMessages},
		{Method: "GET", Path: "/v1/corps/{corpid}/messages/{id}", Roles: session.Read, Limited: true, Remembered: true, Query: []string{"omit"}, Serve: s.Chats.GetMessage},
		{Method: "GET", Path: "/v1/corps/{corpid}/messages/{id}/raw", Roles: session.Read, Limited: true, Remembered: true, Serve: s.Chats.GetMessageBytes},
		{Method: "GET", Path: "/v1/corps/{corpid}/messages/{id}/files/{n}", Roles: session.Read, Limited: true, Remembered: true, Query: []string{"redirect", "download"}, Serve: s.Chats.GetFile},
		{Method: "POST", Path: "/v1/corps/{corpid}/links", Roles: session.Read, Limited: true, Remembered: true, Body: []string{"files", "download"}, Bytes: chats.IDsBytes, Serve: s.Chats.MakeLinks},
	}
}
