package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// An asker fetches single chunks. It repeats a call if the failure may pass by
// itself, so that a failed chunk does not lose the chunks before it.
type asker struct {
	source Source
	timeUp func() bool
	sleep  func(context.Context, time.Duration) error
	log    *slog.Logger
}

// chunk fetches the chunk at index. fault checks a chunk that came without an
// error; it returns an empty text if the chunk is good. If chunk returns no
// chunk, bad says how the download ends. An error is the error of the context,
// or an error that does not come from the library.
func (a *asker) chunk(ctx context.Context, index string, f File, fault func(Chunk) string) (_ Chunk, bad *Outcome, _ error) {
	crashes := 0
	for try := 1; ; try++ {
		c, err := a.source.MediaChunk(ctx, index, f.SDKFileID)
		if ctx.Err() != nil {
			return Chunk{}, nil, ctx.Err()
		}
		var o Outcome
		again := true
		if err == nil {
			reason := fault(c)
			if reason == "" {
				return c, nil, nil
			}
			o = Outcome{End: TryFailed, Reason: reason, Lasting: true}
		} else {
			var known bool
			if o, again, known = answer(err); !known {
				return Chunk{}, nil, fmt.Errorf("fetch chunk: %w", err)
			}
			a.logCrash(ctx, f, err)
		}
		if o.Reason == ReasonCrashes {
			// The next call starts a fresh process and is alone in it. A second crash
			// confirms that this file crashes the library (law 7).
			crashes++
			o.Broken = crashes == 2
			again = !o.Broken
		}
		if !again || try == archive.Tries || a.timeUp() {
			return Chunk{}, &o, nil
		}
		if err := a.sleep(ctx, archive.RetryPause); err != nil {
			return Chunk{}, nil, err
		}
	}
}

func (a *asker) logCrash(ctx context.Context, f File, err error) {
	var sdk *archive.SDKError
	if !errors.As(err, &sdk) {
		a.log.ErrorContext(ctx, "library failed", "corp", f.Corp, "file", f.ID, "err", err)
	}
}

// answer reads an error of the library (law 10). again says that the same call
// may be repeated at once. known is false for an error that does not come from
// the library.
func answer(err error) (_ Outcome, again, known bool) {
	e, known := archive.LibraryFailed(err)
	ofFile := e.Op == "GetMediaData"
	o := Outcome{End: CorpTrouble, Reason: string(e.Cause), Refused: e.Response == archive.RespondRefuse}
	switch passing := e.Response == archive.RespondRetry; {
	case !ofFile || o.Refused:
	case e.How == archive.Hung:
		// A repeated call would make the pass wait for the time limit again.
		return Outcome{End: TryFailed, Reason: ReasonHangs, Lasting: true, Broken: true}, false, known
	case e.Cause == archive.CauseLibraryCrash:
		return Outcome{End: TryFailed, Reason: ReasonCrashes, Lasting: true}, true, known
	case e.Code == archive.CodeExpired || e.Code == 301048:
		return Outcome{End: FileDeleted}, false, known
	case e.Code == 10005:
		return Outcome{End: TryFailed, Reason: ReasonBadFileID, Lasting: true}, false, known
	case passing || e.Cause == archive.CauseUnknownResponse:
		// The code may be about this file only: single files fail permanently with
		// codes that mean a temporary problem for other files (wecom.md 1.7).
		return Outcome{End: TryFailed, Reason: "sdk_" + strconv.Itoa(e.Code), Lasting: !passing}, passing, known
	}
	return o, false, known
}
