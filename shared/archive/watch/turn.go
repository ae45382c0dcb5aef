package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// corpsAtOnce is how many corps a tick works on in parallel. It is not above
// the number of connections to one host that the AWS client keeps: each further
// connection would be opened again for every call.
const corpsAtOnce = 10

// Each tick begins to spend its budgets stride corps after the beginning of the tick
// before. A larger stride than the corps that one budget serves at the least
// (againOfAll/againOfCorp) could leave out the same corps at every tick.
const stride = 10

// Each call of eachCorp begins a part of the fleet further than at the tick before.
const fleetParts = 5

// sinceTurn returns how many ticks have passed since the corp last had its
// turn, if it has one every rhythm ticks. It returns 0 in the tick of the turn. The
// corps are spread evenly over the ticks.
func (t *tick) sinceTurn(corp string, rhythm int64) int64 {
	h := fnv.New32a()
	h.Write([]byte(corp))
	return (t.now.Unix()/60 + int64(h.Sum32())%rhythm) % rhythm
}

// hasTurn reports whether the corp has its turn in this tick, if it has one every rhythm
// ticks.
func (t *tick) hasTurn(corp string, rhythm int64) bool {
	return t.sinceTurn(corp, rhythm) == 0
}

// turn returns the index of the i-th corp of a tick. Each tick begins with
// another corp, so that a budget reaches every corp.
func (t *tick) turn(i int) int {
	return int((t.now.Unix()/60*stride + int64(i)) % int64(len(t.corps)))
}

// eachCorp calls f for every corp, some at a time. A failure with one corp stops no
// other. When the time of the step is over, eachCorp calls f no more: thousands of
// calls that fail would take time from other steps. Each tick begins a part of the
// fleet further than the tick before, so that no corp is left out for long while
// the stores are slow.
func (t *tick) eachCorp(ctx context.Context, f func(i int, c archive.Corp) error) error {
	errs := make([]error, len(t.corps)+1)
	var group errgroup.Group
	group.SetLimit(corpsAtOnce)
	begin := int(t.now.Unix()/60%fleetParts) * len(t.corps) / fleetParts
	for n := range t.corps {
		if ctx.Err() != nil {
			errs[n] = fmt.Errorf("step ended after %d of %d corps: %w", n, len(t.corps), ctx.Err())
			break
		}
		i := (begin + n) % len(t.corps)
		group.Go(func() error {
			errs[n] = f(i, t.corps[i])
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}
