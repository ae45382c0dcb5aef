package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	localaws "github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/pipeline"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// meter adds up write units by table, and read units.
type meter struct {
	mu    sync.Mutex
	units map[string]float64
	reads float64
}

// emptyAnswer is what AWS charges for a read that finds nothing, if it need not be
// consistent. DynamoDB Local charges nothing.
const emptyAnswer = 0.5

func (m *meter) observe(table, _ string, wcu, rcu float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units[table] += wcu
	if wcu+rcu == 0 {
		rcu = emptyAnswer
	}
	m.reads += rcu
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units, m.reads = map[string]float64{}, 0
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
	db                      *dynamodb.Client
	corps, ledger, messages string
	consents, media         string
}

func (b *bench) stage(ctx context.Context, name string, company wecom.CorpConfig) (*stage, func(), error) {
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
	s.db = dynamodb.NewFromConfig(cfg)
	for id, table := range map[string]string{"CorpsTable": s.corps, "LedgerTable": s.ledger, "MessagesTable": s.messages, "ConsentsTable": s.consents, "MediaTable": s.media} {
		schemas[id].TableName = &table
		if _, err := s.db.CreateTable(ctx, schemas[id]); err != nil {
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
		Worker: b.worker(), Library: b.library, WeCom: sim, Capacity: s.meter.observe,
	})
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		s.Close()
		sim.Close()
	}
	if err := s.SetUp(ctx, s.corp); err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// decodeRate measures how many messages a core decodes: in DynamoDB Local, in a
// sink, and as a plain wrapper of the library does. Beside them stands what the
// private-key operation alone would allow.
func (b *bench) decodeRate(ctx context.Context) error {
	b.heading("decoding, per core, in turns, all by processor time (a full page of mixed chats)")
	s, stop, err := b.stage(ctx, "rate", wecom.CorpConfig{ID: "ww0000000000000001", ScopeAll: true, Crowd: wecom.Crowd{Staff: 20, Customers: 100, Rooms: 15}})
	if err != nil {
		return err
	}
	defer stop()
	if _, err := s.corp.Mixed(archive.DecodeLanes * pull.PageLimit); err != nil {
		return err
	}
	if err := s.Pull(ctx, s.corp.ID()); err != nil {
		return err
	}
	if err := s.Decode(ctx); err != nil { // warm: keys are proved, the process runs
		return err
	}
	db, stopSink, err := startSink(b.services.Config(), 0)
	if err != nil {
		return err
	}
	defer stopSink()
	row, err := s.Ledger.Row(ctx, s.corp.ID(), 0)
	if err != nil {
		return err
	}
	wrapper, answer, err := b.plain(ctx, s, row)
	if err != nil {
		return err
	}
	intoSink := s.DecoderInto(db)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as functions/decode sets it
	ways := []struct {
		name   string
		decode func() error
	}{
		{"messages decoded into DynamoDB Local", func() error { return s.Decoder.Decode(ctx, s.corp.ID(), 0, decode.Again) }},
		{"messages decoded into a sink", func() error { return intoSink.Decode(ctx, s.corp.ID(), 0, decode.Again) }},
		{"messages decrypted by a plain wrapper", func() error { return wrapper.page(answer) }},
	}
	rates := make([][]float64, len(ways))
	var openssl []float64
	for range b.rounds {
		for i, w := range ways {
			before, err := decodingTime()
			if err != nil {
				return err
			}
			if err := w.decode(); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			after, err := decodingTime()
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], float64(row.Count)/(after-before).Seconds())
		}
		rate, err := opensslRate(ctx) // it counts processor time too
		if err != nil {
			return err
		}
		openssl = append(openssl, rate)
	}
	for i, w := range ways {
		b.note(w.name, median(rates[i]), "/s")
	}
	b.note("decoding into a sink as a share of OpenSSL's bare rate", median(rates[1])/median(openssl), "")
	b.note("decoding into a sink as a multiple of a plain wrapper", median(rates[1])/median(rates[2]), "")
	return b.decodeLanes(ctx, s, median(rates[1]))
}

// sinkLatency is the time in which a table in the cloud answers a write.
const sinkLatency = 5 * time.Millisecond

// decodeLanes measures by the clock how many messages a corp's lanes decode together,
// if the store takes its time. perCore is what a core decodes of processor time.
func (b *bench) decodeLanes(ctx context.Context, s *stage, perCore float64) error {
	db, stop, err := startSink(b.services.Config(), sinkLatency)
	if err != nil {
		return err
	}
	defer stop()
	rows, err := s.Ledger.Rows(ctx, s.corp.ID(), archive.RowQuery{Limit: archive.DecodeLanes})
	if err != nil {
		return err
	}
	decoders := make([]*decode.Decoder, len(rows))
	for i := range decoders {
		decoders[i] = s.DecoderInto(db)
	}
	var rates []float64
	for range b.rounds + 1 { // the first round starts the processes
		begun, messages := time.Now(), 0
		var lanes errgroup.Group
		for i, row := range rows {
			messages += row.Count
			lanes.Go(func() error { return decoders[i].Decode(ctx, s.corp.ID(), row.After, decode.Again) })
		}
		if err := lanes.Wait(); err != nil {
			return err
		}
		rates = append(rates, float64(messages)/time.Since(begun).Seconds())
	}
	b.note(fmt.Sprintf("the %d lanes of a corp into a sink that takes %v, by the clock", archive.DecodeLanes, sinkLatency), median(rates[1:]), "/s")
	b.note("the same as a share of what all cores decode", median(rates[1:])/perCore/float64(runtime.NumCPU()), "")
	return nil
}

// plain makes a plain wrapper with the corp's key, and the page of the row as WeCom
// answered it.
func (b *bench) plain(ctx context.Context, s *stage, row archive.Row) (*plain, []byte, error) {
	answer, err := s.Journal.Page(ctx, row)
	if err != nil {
		return nil, nil, err
	}
	set, err := s.Corps.KeySet(ctx, s.corp.ID())
	if err != nil {
		return nil, nil, err
	}
	key, err := s.Secrets.PrivateKey(ctx, s.corp.ID(), set.Keys[0].ID)
	if err != nil {
		return nil, nil, err
	}
	library, err := financesdk.Open(b.library)
	if err != nil {
		return nil, nil, err
	}
	handle, err := library.Init(financesdk.Identity{CorpID: s.corp.ID(), Secret: secret.New(s.corp.Secret())})
	if err != nil {
		return nil, nil, err
	}
	return &plain{key: []byte(key.Reveal()), sdk: handle}, answer, nil
}
