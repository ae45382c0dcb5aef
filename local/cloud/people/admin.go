package people

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/local/wecom"
)

// setup is the part of our set-up page that an admin copies into WeCom.
type setup struct {
	TrustedIPs []string        `json:"trusted_ips"`
	PublicKey  *string         `json:"public_key"`
	Callback   *wecom.Callback `json:"callback"`
}

// SetUp does the set-up steps 0 to 7 for a company, in their order. A second SetUp
// is as if the admin did all steps again: the public key gets another version.
func SetUp(ctx context.Context, api *API, corp *wecom.Corp) error {
	details := corp.Details()
	call := func(method, path string, in, out any) error {
		return api.Call(ctx, Admin, method, corp.ID(), path, in, out)
	}
	if err := call(http.MethodPut, "", map[string]any{"name": details.Name}, nil); err != nil {
		return fmt.Errorf("register: %w", err)
	}

	// 1. 开启范围
	members := make([]string, len(details.Staff))
	for n, s := range details.Staff {
		members[n] = s.UserID
	}
	if err := corp.SetScope(members, 0); err != nil {
		return fmt.Errorf("step 1, scope: %w", err)
	}

	// 2. Secret
	if err := call(http.MethodPut, "/setup", map[string]any{"secret": corp.Secret()}, nil); err != nil {
		return fmt.Errorf("step 2, secret: %w", err)
	}

	// 3. 消息加密公钥
	if err := NewKeyVersion(ctx, api, corp); err != nil {
		return fmt.Errorf("step 3, public key: %w", err)
	}

	// 4. 可信IP地址
	var page setup
	if err := call(http.MethodGet, "/setup", nil, &page); err != nil {
		return fmt.Errorf("step 4, trusted IP: %w", err)
	}
	if err := corp.SetTrustedIPs(page.TrustedIPs...); err != nil {
		return fmt.Errorf("step 4, trusted IP: %w", err)
	}

	// 5. 接收事件服务器, 立即开启
	if page.Callback == nil {
		return errors.New("step 5, callback: not shown on our page")
	}
	if err := corp.SetCallback(ctx, *page.Callback); err != nil {
		return fmt.Errorf("step 5, callback: %w", err)
	}
	corp.SetOpen(true)
	if err := call(http.MethodPut, "/state", map[string]any{"enabled": true}, nil); err != nil {
		return fmt.Errorf("step 5, switch on: %w", err)
	}
	// Step 6 is the chat of people. The caller does it.

	// 7. 自建应用
	if err := setUpApp(ctx, api, corp); err != nil {
		return fmt.Errorf("step 7, app: %w", err)
	}
	return nil
}

// setUpApp makes a self-built app in WeCom, which sees all members and may read
// customers, and saves its secret on our page.
func setUpApp(ctx context.Context, api *API, corp *wecom.Corp) error {
	// The secret is the same in every run, because the archive may have kept it.
	secret := "secret-of-the-app-of-" + corp.ID()
	var page setup
	if err := api.Call(ctx, Admin, http.MethodGet, corp.ID(), "/app", nil, &page); err != nil {
		return err
	}
	if err := corp.SetApp(wecom.AppConfig{Secret: secret, Contacts: true, TrustedIPs: page.TrustedIPs}); err != nil {
		return err
	}
	if err := api.Call(ctx, Admin, http.MethodPut, corp.ID(), "/app", map[string]any{"secret": secret, "agent_id": "1000002"}, &page); err != nil {
		return err
	}
	if page.Callback == nil {
		return errors.New("callback not shown on our page")
	}
	if err := corp.SetAppCallback(ctx, *page.Callback); err != nil {
		return err
	}
	return saveNames(ctx, api, corp)
}

// saveNames saves the names that the company's SCRM knows, as its backend does. So
// the first reader sees names: WeCom tells one some seconds after the first reading
// of its id.
func saveNames(ctx context.Context, api *API, corp *wecom.Corp) error {
	type name struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	details := corp.Details()
	var people, rooms []name
	for _, s := range details.Staff {
		people = append(people, name{s.UserID, s.Name})
	}
	for _, c := range details.Customers {
		people = append(people, name{c.ExternalUserID, c.Name})
	}
	for _, r := range details.Robots {
		people = append(people, name{r.ID, r.Name})
	}
	for _, r := range details.Rooms {
		rooms = append(rooms, name{r.ID, r.Name})
	}
	for list, names := range map[string][]name{"contacts": people, "rooms": rooms} {
		for part := range slices.Chunk(names, namesMost) {
			if err := api.Call(ctx, Service, http.MethodPut, corp.ID(), "/"+list, map[string]any{list: part}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesMost is how many names one request may have.
const namesMost = 500

// Resume lets a new simulated WeCom continue from the seq and the 版本号 that our
// archive has reached. It is needed because the real WeCom never starts either
// number again. Resume changes nothing for a company that is not registered.
func Resume(ctx context.Context, api *API, corp *wecom.Corp) error {
	var page struct {
		setup
		Keys []struct {
			Claimed *uint32 `json:"claimed_version"`
			Proved  []struct{ Version uint32 }
		} `json:"keys"`
	}
	var unknown *Problem
	err := api.Call(ctx, Service, http.MethodGet, corp.ID(), "/setup", nil, &page)
	if errors.As(err, &unknown) && unknown.Status == http.StatusNotFound || err == nil && page.PublicKey == nil {
		return nil
	}
	if err != nil {
		return err
	}
	var status struct {
		Head struct {
			Seq uint64 `json:"seq,string"`
		} `json:"head"`
	}
	if err := api.Call(ctx, Service, http.MethodGet, corp.ID(), "/status", nil, &status); err != nil {
		return err
	}
	if status.Head.Seq > 0 {
		// An error means that the simulated WeCom is already at a higher seq.
		_ = corp.JumpSeq(status.Head.Seq)
	}
	var highest uint32
	for _, k := range page.Keys {
		if k.Claimed != nil {
			highest = max(highest, *k.Claimed)
		}
		for _, v := range k.Proved {
			highest = max(highest, v.Version)
		}
	}
	for version := uint32(0); version < highest; {
		if version, err = corp.AddKey(*page.PublicKey); err != nil {
			return err
		}
	}
	return nil
}

// NewKeyVersion copies the public key of our page into WeCom, and the 版本号 that
// WeCom shows into our page.
func NewKeyVersion(ctx context.Context, api *API, corp *wecom.Corp) error {
	var page setup
	if err := api.Call(ctx, Admin, http.MethodGet, corp.ID(), "/setup", nil, &page); err != nil {
		return err
	}
	if page.PublicKey == nil {
		return errors.New("public key not shown on our page")
	}
	version, err := corp.AddKey(*page.PublicKey)
	if err != nil {
		return fmt.Errorf("key refused by WeCom: %w", err)
	}
	return api.Call(ctx, Admin, http.MethodPut, corp.ID(), "/setup", map[string]any{"publickey_ver": version}, nil)
}

// RotateKey makes another key on our page and enters it in WeCom.
func RotateKey(ctx context.Context, api *API, corp *wecom.Corp) error {
	if err := api.Call(ctx, Admin, http.MethodPost, corp.ID(), "/keys", nil, nil); err != nil {
		return err
	}
	return NewKeyVersion(ctx, api, corp)
}

// SendLarge lets a member send two messages that our tables cannot hold. The
// first exceeds 300 KB, the limit above which a message goes to the bucket. The
// second exceeds 400 KB, DynamoDB's own limit.
func SendLarge(corp *wecom.Corp) error {
	details := corp.Details()
	from, to := details.Staff[0].UserID, details.Customers[0].ExternalUserID
	for _, kb := range []int{310, 450} {
		text := strings.Repeat("云朵会话存档 0123456789abc ", kb<<10/33+1) // the repeated text has 33 bytes
		if _, err := corp.Send(wecom.Draft{From: from, To: []string{to}, Text: text}); err != nil {
			return fmt.Errorf("send %d KB: %w", kb, err)
		}
	}
	return nil
}
