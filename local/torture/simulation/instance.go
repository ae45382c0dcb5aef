package simulation

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// instance is an operating system's process of a function. Lambda lets it serve one
// invocation after another, so what it remembers of one reaches the next.
type instance struct {
	serves     *process      // its present or last invocation
	clock      time.Duration // how far its clock is from the true time
	dispatcher *watch.Dispatcher
	secrets    *secretstore.Memory
}

func (i *instance) now() time.Time { return i.serves.now() }

const (
	// keptWarm is how many instances of a function wait for an invocation.
	keptWarm = 2
	// replacedOnce is how many invocations Lambda starts until it replaces an instance
	// that works.
	replacedOnce = 40
)

// someSkew is how far a clock is from the true time.
func (s *sim) someSkew() time.Duration {
	skew := s.weather.skew
	if skew == 0 || !s.stormy() {
		return 0
	}
	return time.Duration(s.rand.Int64N(int64(2*skew))) - skew
}

// instanceFor takes an instance of a function that waits, or starts one.
func (s *sim) instanceFor(name string) *instance {
	if list := s.warm[name]; len(list) > 0 {
		n := s.rand.IntN(len(list))
		i := list[n]
		s.warm[name] = append(list[:n:n], list[n+1:]...)
		if !s.stormy() || !s.hit(replacedOnce) {
			return i
		}
	}
	i := &instance{clock: s.someSkew()}
	i.dispatcher = s.dispatcher(i)
	i.secrets = secretstore.NewMemory(secretstore.New(secretsManager{sim: s}, "stack", ""), i.now)
	return i
}

// keepWarm lets an instance wait for its next invocation. One that was killed, or
// that Lambda stopped at the deadline, is gone.
func (s *sim) keepWarm(p *process) {
	if i := p.instance; i != nil && len(s.warm[p.name]) < keptWarm {
		s.warm[p.name] = append(s.warm[p.name], i)
	}
}

// secretsManager is Secrets Manager, of which the functions that are played here
// only read archive secrets.
type secretsManager struct {
	secretstore.Client // nil
	sim                *sim
}

// GetSecretValue implements [secretstore.Client].
func (m secretsManager) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	corp := strings.Split(*in.SecretId, "/")[1] // stack/corp/archive
	v, err := m.sim.world.Secrets.ArchiveSecret(ctx, corp, time.Time{})
	if errors.Is(err, archive.ErrNotFound) {
		return nil, &types.ResourceNotFoundException{}
	}
	if err != nil {
		return nil, err
	}
	if v = m.sim.secrets.read(corp, v); v.IsZero() {
		return nil, &types.ResourceNotFoundException{}
	}
	text := v.Reveal()
	return &secretsmanager.GetSecretValueOutput{SecretString: &text}, nil
}
