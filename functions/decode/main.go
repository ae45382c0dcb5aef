// Command decode is the Lambda function that turns journal pages into messages
// and runs replay jobs.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/eventbus"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/libcrypto"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() { lambdamain.Run("decode", parseConfig, wire) }

// wire makes the handler from the configuration.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	// A page is garbage once it is decoded, and is small beside the function's
	// memory. Collecting it less often saves a twentieth of the processor time.
	debug.SetGCPercent(400)
	// A large page makes more garbage. So Go's memory is limited to half of the
	// function's; the other half is for the library's processes.
	if mb := lambdacontext.MemoryLimitInMB; mb > 0 {
		debug.SetMemoryLimit(int64(mb) << 20 / 2)
	}
	// This process holds private keys, and its child runs vendor code (law 7).
	if err := sdkworker.HideFromChildren(); err != nil {
		return nil, err
	}
	library := workers(cfg, log)
	db := dynamodb.NewFromConfig(sdk)
	secrets := secretstore.NewMemory(secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, ""), time.Now)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	corps := dynamostore.NewCorps(db, cfg.corps)
	queues := sqs.NewFromConfig(sdk)
	objects := s3.NewFromConfig(sdk)
	bus := eventbus.New(eventbridge.NewFromConfig(sdk), cfg.bus, time.Now, log)
	consents := dynamostore.NewConsents(db, cfg.consents, bus.AnnounceConsents)
	decoder, replayer := decode.New(decode.Config{
		Ledger:     ledger,
		Jobs:       ledger,
		Heads:      ledger,
		Journal:    s3store.NewJournal(objects, cfg.journal),
		View:       dynamostore.NewMessages(db, cfg.messages),
		Keys:       corps,
		Openers:    rsakey.NewRing(secrets, libcrypto.Choose(libcrypto.Name, rsakey.Go, log), time.Now),
		Decrypters: newDecrypters(sdkworker.NewPool(library), secrets, corps, ledger, &archive.Gate{Log: ledger, Now: time.Now}, cfg.identity, library.NoSockets, time.Now),
		Consents:   consents,
		Files:      dynamostore.NewMedia(db, cfg.media),
		Objects:    s3store.NewMedia(objects, cfg.objects),
		Media:      media.NewWantedLanes(dynamostore.NewMarks(db, cfg.ledger), sqsqueue.NewMedia(queues, cfg.files, rand.Text), time.Now),
		Decodes:    sqsqueue.NewDecode(queues, cfg.decodes, rand.Text),
		Announcer:  bus,
		Parallel:   runtime.GOMAXPROCS(0),
		Now:        time.Now,
		Log:        log,
	})
	return serve(log, decoder.Decode, replayer.Run), nil
}

// workers says how the library runs. It decrypts only, so it gets no sockets if its
// Init works without them.
func workers(cfg config, log *slog.Logger) sdkworker.Config {
	return sdkworker.Config{
		Worker: cfg.worker, Library: cfg.library, Proxy: cfg.proxy, NoSockets: sdkworker.WorksOffline(cfg.library),
		StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout, DecryptTimeout: archive.DecryptTimeout,
		MaxProcesses: 4, MaxRSS: 128 << 20, MemoryLimit: 256 << 20, Log: log,
	}
}

// serve makes the handler. A request is for one page or for a run of a replay job.
// A record that cannot be decoded does not fail the request: it is set aside.
func serve(log *slog.Logger, page func(ctx context.Context, corp string, after uint64, redo decode.Redo) error, replay func(ctx context.Context, req archive.DecodeRequest) error) sqsqueue.Handler {
	return sqsqueue.Serve(log, sqsqueue.ParseDecode, func(ctx context.Context, req archive.DecodeRequest) error {
		if req.Replay != "" {
			return replay(ctx, req)
		}
		return page(ctx, req.Corp, req.After, decode.FirstTime)
	})
}
