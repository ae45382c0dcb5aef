// Package pipeline runs the archive's pulling and decoding with their real
// adapters in one process, without Lambda. It uses a simulated WeCom, the stand-in
// library in a real worker process, and tables, a bucket and secrets of the local
// AWS services.
//
// Benchmarks and tests of one stage use it, because the local cloud would add its
// own times and queues.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/eventbus"
	"github.com/yunduo-scrm/archive/shared/libcrypto"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// Options name the parts that a pipeline uses. Capacity, Parallel and Log are
// optional.
type Options struct {
	AWS             sdk.Config
	Corps           string // table names; all tables exist, with the template's keys
	Ledger          string
	Messages        string
	Consents        string
	Media           string
	Bucket          string // name of an existing bucket
	Secrets         string // prefix of the names of secrets
	Worker, Library string // paths of files
	WeCom           *wecom.Sim

	Capacity func(table, op string, wcu, rcu float64) // see dynamostore.WithCapacity
	Parallel int                                      // private-key operations at a time; 0 means 1
	Log      *slog.Logger                             // nil means no log
}

// A Pipeline pulls and decodes on demand. It holds decode requests in memory until
// Decode serves them. Not safe for concurrent use.
type Pipeline struct {
	Puller   *pull.Puller
	Decoder  *decode.Decoder
	Replayer *decode.Replayer
	Corps    *dynamostore.Corps
	Ledger   *dynamostore.Ledger
	View     *dynamostore.Messages
	Secrets  *secretstore.Store
	Journal  *s3store.Journal

	// Identity, unless nil, initialises the library for decoding. It replaces
	// the corp's own secret.
	Identity *sdkworker.Identity

	tables   Options // their names
	decoding decode.Config
	library  sdkworker.Config
	pools    []*sdkworker.Pool // of the pipeline itself, and of decoders made later
	server   *http.Server
	queue    *queue
}

// New makes a pipeline and starts the server of the simulated WeCom on the
// loopback address. The pipeline starts worker processes on demand.
func New(o Options) (*Pipeline, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	db := dynamodb.NewFromConfig(o.AWS)
	var opts []dynamostore.Option
	if o.Capacity != nil {
		opts = append(opts, dynamostore.WithCapacity(o.Capacity))
	}
	p := &Pipeline{
		Corps:   dynamostore.NewCorps(db, o.Corps, opts...),
		Ledger:  dynamostore.NewLedger(db, o.Ledger, opts...),
		View:    dynamostore.NewMessages(db, o.Messages, opts...),
		Secrets: secretstore.New(secretsmanager.NewFromConfig(o.AWS), o.Secrets, ""),
		library: sdkworker.Config{
			Worker: o.Worker, Library: o.Library, Proxy: "http://" + listener.Addr().String(),
			StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout,
			ChatDataTimeout: archive.CallTimeout, DecryptTimeout: archive.DecryptTimeout, Log: log,
		},
		Journal: s3store.NewJournal(s3.NewFromConfig(o.AWS), o.Bucket),
		tables:  o,
		server:  &http.Server{Handler: o.WeCom.Handler()},
		queue:   &queue{},
	}
	go func() { _ = p.server.Serve(listener) }() // Close ends Serve
	pool := p.newPool()
	marks := dynamostore.NewMarks(db, o.Ledger, opts...)
	p.Puller = &pull.Puller{
		Corps: p.Corps, Secrets: secretstore.NewMemory(p.Secrets, time.Now), Sources: pool, Ledger: p.Ledger, Gate: &archive.Gate{Log: p.Ledger, Now: time.Now}, Journal: p.Journal,
		Pulls: archive.NewWantedPulls(marks, p.queue, time.Now), Decodes: p.queue, Now: time.Now, Sleep: sleep, Log: log,
	}
	p.decoding = decode.Config{
		Ledger: p.Ledger, Jobs: p.Ledger, Heads: p.Ledger, Journal: p.Journal, View: p.View,
		Keys: p.Corps, Openers: rsakey.NewRing(p.Secrets, libcrypto.Choose(libcrypto.Name, rsakey.Go, log), time.Now), Decrypters: decrypters{p, pool},
		Consents: dynamostore.NewConsents(db, o.Consents, nil, opts...),
		Files:    dynamostore.NewMedia(db, o.Media, opts...), Media: media.NewWantedLanes(marks, p.queue, time.Now), Decodes: p.queue,
		Announcer: eventbus.New(nil, "", time.Now, log),
		Parallel:  max(1, o.Parallel), Now: time.Now, Log: log,
	}
	p.Decoder, p.Replayer = decode.New(p.decoding)
	return p, nil
}

func (p *Pipeline) newPool() *sdkworker.Pool {
	pool := sdkworker.NewPool(p.library)
	p.pools = append(p.pools, pool)
	return pool
}

// DecoderInto makes a decoder that writes messages, consents and files by db. Like
// another instance of the function, it has a process of the library for itself. All
// else is the pipeline's own.
func (p *Pipeline) DecoderInto(db *dynamodb.Client) *decode.Decoder {
	cfg := p.decoding
	cfg.Decrypters = decrypters{p, p.newPool()}
	cfg.View = dynamostore.NewMessages(db, p.tables.Messages)
	cfg.Consents = dynamostore.NewConsents(db, p.tables.Consents, nil)
	cfg.Files = dynamostore.NewMedia(db, p.tables.Media)
	decoder, _ := decode.New(cfg)
	return decoder
}

// Close ends the worker processes and WeCom's server.
func (p *Pipeline) Close() {
	for _, pool := range p.pools {
		pool.Close()
	}
	_ = p.server.Close()
}

// SetUp registers the simulated company with a new key. It does the work of the
// set-up page and of WeCom's console.
func (p *Pipeline) SetUp(ctx context.Context, corp *wecom.Corp) error {
	now := time.Now()
	if err := p.Corps.CreateCorp(ctx, archive.Corp{ID: corp.ID(), Name: corp.ID(), CreatedAt: now}); err != nil {
		return err
	}
	if err := p.SaveSecret(ctx, corp); err != nil {
		return err
	}
	if err := p.AddKey(ctx, corp); err != nil {
		return err
	}
	if err := corp.SetTrustedIPs("127.0.0.1"); err != nil {
		return err
	}
	corp.SetOpen(true)
	return p.Corps.SetEnabled(ctx, corp.ID(), true, "admin", "", now)
}

// SaveSecret copies the corp's archive secret from WeCom to the secret store.
func (p *Pipeline) SaveSecret(ctx context.Context, corp *wecom.Corp) error {
	if err := p.Secrets.PutArchiveSecret(ctx, corp.ID(), secret.New(corp.Secret())); err != nil {
		return err
	}
	return p.Corps.SetSecret(ctx, corp.ID(), corp.Secret()[:4], time.Now())
}

// AddKey makes a key pair and uploads the public key to WeCom.
func (p *Pipeline) AddKey(ctx context.Context, corp *wecom.Corp) error {
	pair, err := rsakey.Make()
	if err != nil {
		return err
	}
	if err := p.Secrets.CreatePrivateKey(ctx, corp.ID(), pair.ID, pair.Private); err != nil {
		return err
	}
	key := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyMade, CreatedAt: time.Now()}
	if err := p.Corps.AddKey(ctx, corp.ID(), key, false, ""); err != nil {
		return err
	}
	_, err = corp.AddKey(pair.PublicPEM)
	return err
}

// Pull pulls all new pages of the corp, even during a pause.
func (p *Pipeline) Pull(ctx context.Context, corp string) error {
	return p.Puller.Pull(ctx, archive.PullRequest{Corp: corp, Why: "asked", Force: true})
}

// Decode serves all requests, including the requests that arrive meanwhile. If a
// request fails, Decode stops, and this request and all later requests remain.
func (p *Pipeline) Decode(ctx context.Context) error {
	for {
		r, ok := p.queue.first()
		if !ok {
			return nil
		}
		var err error
		if r.Replay != "" {
			err = p.Replayer.Run(ctx, r)
		} else {
			err = p.Decoder.Decode(ctx, r.Corp, r.After, decode.FirstTime)
		}
		if err != nil {
			return err
		}
		p.queue.drop()
	}
}

// decrypters makes sessions of the library like functions/decode, but without the
// gate.
type decrypters struct {
	p    *Pipeline
	pool *sdkworker.Pool
}

func (d decrypters) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	if id := d.p.Identity; id != nil {
		return d.pool.Session(corp, *id), nil
	}
	s, err := d.p.Secrets.ArchiveSecret(ctx, corp)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return nil, fmt.Errorf("read archive secret: %w", err)
	}
	return d.pool.Session(corp, sdkworker.Identity{CorpID: corp, Secret: s}), nil
}

// queue holds decode requests and drops all other requests.
type queue struct {
	mu   sync.Mutex
	reqs []archive.DecodeRequest
}

func (q *queue) SendPulls(context.Context, ...archive.PullRequest) error { return nil }

func (q *queue) SendMedia(context.Context, ...media.Request) error { return nil }

func (q *queue) RequestDecodes(_ context.Context, reqs ...archive.DecodeRequest) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reqs = append(q.reqs, reqs...)
	return nil
}

func (q *queue) first() (archive.DecodeRequest, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.reqs) == 0 {
		return archive.DecodeRequest{}, false
	}
	return q.reqs[0], true
}

func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reqs = q.reqs[1:]
}

// sleep waits a twentieth of the time. The pauses between tries spare the real
// WeCom, and the simulated WeCom needs no such pauses.
func sleep(ctx context.Context, d time.Duration) error { return archive.Sleep(ctx, d/20) }
