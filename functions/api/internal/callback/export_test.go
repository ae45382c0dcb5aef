package callback

// What tests see of the pairs held in memory.
const (
	PairAge      = pairAge
	PairRetryAge = pairRetryAge
	MaxPairs     = maxPairs
)

// Box is the box of a corp.
var Box = (*Pairs).box

// Held is the number of pairs in memory.
func (p *Pairs) Held() int { return len(p.pairs) }
