package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	localaws "github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/pipeline"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// meter adds up write units by table.
type meter struct {
	mu    sync.Mutex
	units map[string]float64
}

func (m *meter) observe(table, _ string, wcu, _ float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units[table] += wcu
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units = map[string]float64{}
}

func (m *meter) total(tables ...string) (sum float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tables {
		sum += m.units[t]
	}
	return sum
}

// stage is a pipeline with one company on tables of its own.
type stage struct {
	*pipeline.Pipeline
	corp                    *wecom.Corp
	meter                   *meter
	corps, ledger, messages string
	consents, media         string
}

func (b *bench) stage(ctx context.Context, name string, company wecom.CorpConfig) (*stage, func(), error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, nil, err
	}
	library, err := standin.Build(ctx, dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &stage{meter: &meter{units: map[string]float64{}}, corps: name + "-corps", ledger: name + "-ledger", messages: name + "-messages", consents: name + "-consents", media: name + "-media"}
	cfg := b.services.Config()
	template, err := os.ReadFile(filepath.Join(b.root, "template.yaml"))
	if err != nil {
		return nil, nil, err
	}
	schemas, err := localaws.Tables(template)
	if err != nil {
		return nil, nil, err
	}
	db := dynamodb.NewFromConfig(cfg)
	for id, table := range map[string]string{"CorpsTable": s.corps, "LedgerTable": s.ledger, "MessagesTable": s.messages, "ConsentsTable": s.consents, "MediaTable": s.media} {
		schemas[id].TableName = &table
		if _, err := db.CreateTable(ctx, schemas[id]); err != nil {
			return nil, nil, fmt.Errorf("create table %s: %w", table, err)
		}
	}
	bucket := name + "-journal"
	if _, err := s3.NewFromConfig(cfg).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{
		LocationConstraint: types.BucketLocationConstraint(cfg.Region),
	}}); err != nil {
		return nil, nil, fmt.Errorf("create bucket: %w", err)
	}
	sim := wecom.New(wecom.Config{Seed: 1, PullsPerMinute: 1_000_000})
	if s.corp, err = sim.AddCorp(company); err != nil {
		return nil, nil, err
	}
	s.Pipeline, err = pipeline.New(pipeline.Options{
		AWS: cfg, Corps: s.corps, Ledger: s.ledger, Messages: s.messages, Consents: s.consents, Media: s.media, Bucket: bucket, Secrets: name,
		Worker:  filepath.Join(b.root, "build", "FinanceSdkLayer", "finance-sdk", "worker"),
		Library: library, WeCom: sim, Capacity: s.meter.observe,
	})
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		s.Close()
		sim.Close()
		_ = os.RemoveAll(dir)
	}
	if err := s.SetUp(ctx, s.corp); err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// cpu is the processor time of this process and its children so far, those
// that run included.
func cpu() (time.Duration, error) {
	tick := time.Second / 100 // USER_HZ is 100 on every Linux that Go runs on
	total := time.Duration(0)
	add := func(pid string, fields ...int) error {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		words := strings.Fields(rest)
		for _, f := range fields {
			n, err := strconv.Atoi(words[f-3]) // proc(5) counts from 1, and two fields are cut off
			if err != nil {
				return err
			}
			total += time.Duration(n) * tick
		}
		return nil
	}
	if err := add("self", 14, 15, 16, 17); err != nil { // utime stime cutime cstime
		return 0, err
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread may have ended
		for _, pid := range strings.Fields(string(pids)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if strings.TrimSpace(string(name)) != "worker" { // DynamoDB Local and moto are not ours
				continue
			}
			if err := add(pid, 14, 15); err != nil && !os.IsNotExist(err) {
				return 0, err
			}
		}
	}
	return total, nil
}

// decodeRate measures how many messages a core decodes, beside what the
// private-key operation alone would allow.
func (b *bench) decodeRate(ctx context.Context) error {
	b.heading("decoding, per core, in turns (a full page of mixed chats)")
	s, stop, err := b.stage(ctx, "rate", wecom.CorpConfig{ID: "ww0000000000000001", ScopeAll: true, Crowd: wecom.Crowd{Staff: 20, Customers: 100, Rooms: 15}})
	if err != nil {
		return err
	}
	defer stop()
	if _, err := s.corp.Mixed(archive.PageLimit); err != nil {
		return err
	}
	if err := s.Pull(ctx, s.corp.ID()); err != nil {
		return err
	}
	if err := s.Decode(ctx); err != nil { // warm: keys are proved, the process runs
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 WeCom's encryption is PKCS#1 v1.5
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte(strings.Repeat("k", 88)))
	if err != nil {
		return err
	}
	var decoded, goRSA, openssl []float64
	for range b.rounds {
		before, err := cpu()
		if err != nil {
			return err
		}
		if err := s.Decoder.Decode(ctx, s.corp.ID(), 0, archive.Again); err != nil {
			return err
		}
		after, err := cpu()
		if err != nil {
			return err
		}
		row, err := s.Ledger.Row(ctx, s.corp.ID(), 0)
		if err != nil {
			return err
		}
		decoded = append(decoded, float64(row.Count)/(after-before).Seconds())

		begun := time.Now()
		const ops = 500
		for range ops {
			//lint:ignore SA1019 as above
			if _, err := rsa.DecryptPKCS1v15(nil, key, sealed); err != nil {
				return err
			}
		}
		goRSA = append(goRSA, ops/time.Since(begun).Seconds())
		if rate, err := opensslRate(ctx); err == nil {
			openssl = append(openssl, rate)
		}
	}
	b.note("messages decoded per second of processor time", median(decoded), "/s")
	b.note("RSA-2048 private operations, Go crypto/rsa", median(goRSA), "/s")
	if len(openssl) > 0 {
		b.note("RSA-2048 private operations, OpenSSL", median(openssl), "/s")
		b.note("decoding as a share of OpenSSL's bare rate", median(decoded)/median(openssl), "")
	} else {
		fmt.Println("  openssl is not on this machine: apt-get install openssl")
	}
	b.note("decoding as a share of Go's bare rate", median(decoded)/median(goRSA), "")
	return nil
}

var signsPerSecond = regexp.MustCompile(`(?m)^rsa\s+2048 bits\s+\S+\s+\S+\s+([0-9.]+)`)

// opensslRate is the private operations a second that OpenSSL says it does on
// one core.
func opensslRate(ctx context.Context) (float64, error) {
	out, err := exec.CommandContext(ctx, "openssl", "speed", "-seconds", "1", "rsa2048").Output()
	if err != nil {
		return 0, err
	}
	m := signsPerSecond.FindSubmatch(out)
	if m == nil {
		return 0, errors.New("openssl speed printed something else")
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// writeUnits measures what DynamoDB would charge for.
func (b *bench) writeUnits(ctx context.Context) error {
	b.heading("write units per message (ConsumedCapacity), lists and ledger counted")
	people := func(n int) wecom.CorpConfig {
		return wecom.CorpConfig{ID: fmt.Sprintf("ww%016d", n), ScopeAll: true, Crowd: wecom.Crowd{Staff: 20, Customers: 100, Rooms: 15}}
	}
	full, stop, err := b.stage(ctx, "full", people(2))
	if err != nil {
		return err
	}
	defer stop()
	for _, page := range []string{"a full page of mixed chats, the first of the day", "a full page of mixed chats, a later one of the day"} {
		if err := b.units(ctx, full, page, 1, func() error { return chats(full.corp, archive.PageLimit) }); err != nil {
			return err
		}
	}
	over := 0.0
	for _, sent := range full.corp.Sent() {
		if len(sent.Plain) > 1000 {
			over++
		}
	}
	b.note("  share of their messages over 1 KB", over/archived(full.corp), "")
	strangers, stopStrangers, err := b.stage(ctx, "strangers", people(5))
	if err != nil {
		return err
	}
	defer stopStrangers()
	if err := b.units(ctx, strangers, "a full page, every second message in a new chat", 1, func() error {
		_, err := strangers.corp.Mixed(archive.PageLimit)
		return err
	}); err != nil {
		return err
	}
	live, stopLive, err := b.stage(ctx, "live", people(3))
	if err != nil {
		return err
	}
	defer stopLive()
	if err := b.units(ctx, live, "live pages of 3 messages", 40, func() error {
		_, err := live.corp.Mixed(3)
		return err
	}); err != nil {
		return err
	}
	room := wecom.CorpConfig{ID: "ww0000000000000004", ScopeAll: true}
	members := []string{}
	for i := range 30 {
		id := fmt.Sprintf("member%02d", i)
		room.Staff = append(room.Staff, wecom.Staff{UserID: id, Name: id})
		members = append(members, id)
	}
	room.Rooms = []wecom.Room{{ID: "wrBENCHroom000001", Name: "room of 30", Owner: members[0], Members: members}}
	big, stopBig, err := b.stage(ctx, "room", room)
	if err != nil {
		return err
	}
	defer stopBig()
	next := 0
	return b.units(ctx, big, "a room of 30, live pages of 3 messages", 40, func() error {
		for range 3 {
			next++
			if _, err := big.corp.Send(wecom.Draft{From: members[next%30], Room: "wrBENCHroom000001"}); err != nil {
				return err
			}
		}
		return nil
	})
}

// mix is what people send, in hundredths: mostly text, now and then something
// else.
var mix = []struct {
	kind  string
	share int
}{{"text", 80}, {"image", 6}, {"voice", 4}, {"link", 3}, {"file", 2}, {"emotion", 2}, {"weapp", 1}, {"video", 1}, {"location", 1}}

// chats lets n messages be sent in sixty conversations, as in a busy quarter
// of an hour: forty single chats and twenty in rooms.
func chats(corp *wecom.Corp, n int) error {
	view := corp.View()
	for i := range n {
		d := wecom.Draft{}
		for share := i * 37 % 100; d.Kind == ""; {
			for _, m := range mix {
				if share -= m.share; share < 0 {
					d.Kind = m.kind
					break
				}
			}
		}
		if c := i % 60; c < 40 {
			d.From, d.To = view.Staff[c%len(view.Staff)].UserID, []string{view.Customers[c].ExternalUserID}
			if i%2 == 1 {
				d.From, d.To = d.To[0], []string{d.From}
			}
		} else {
			room := view.Rooms[c%len(view.Rooms)]
			d.Room, d.From = room.ID, room.Members[i%len(room.Members)]
		}
		if _, err := corp.Send(d); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) units(ctx context.Context, s *stage, name string, pages int, talk func() error) error {
	s.meter.reset()
	before := archived(s.corp)
	for range pages {
		if err := talk(); err != nil {
			return err
		}
		if err := s.Pull(ctx, s.corp.ID()); err != nil {
			return err
		}
		if err := s.Decode(ctx); err != nil {
			return err
		}
	}
	count := archived(s.corp) - before
	b.note(name, s.meter.total(s.messages, s.ledger, s.consents)/count, "WCU")
	b.note("  of these, messages and lists", s.meter.total(s.messages)/count, "WCU")
	b.note("  of these, ledger", s.meter.total(s.ledger)/count, "WCU")
	b.note("  beside these, files to be fetched", s.meter.total(s.media)/count, "WCU")
	return nil
}

// archived counts what WeCom has archived of the corp.
func archived(corp *wecom.Corp) (n float64) {
	for _, sent := range corp.Sent() {
		if sent.LeftOut == "" {
			n++
		}
	}
	return n
}
