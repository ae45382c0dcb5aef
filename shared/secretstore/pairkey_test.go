package secretstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// The pair key is created once, by the first of all callers, and its name begins
// with the stack's.
func TestPairKeyIsCreatedOnce(t *testing.T) {
	s, client, prefix := newStore(t)
	if _, err := s.PairKey(t.Context()); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("before: got error %v, want %v", err, archive.ErrNotFound)
	}
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = s.CreatePairKey(t.Context(), secret.New(fmt.Sprint("key ", i))) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, archive.ErrExists):
			t.Errorf("creator %d: got error %v, want one success and %v for the rest", i, err, archive.ErrExists)
		}
	}
	if got, err := s.PairKey(t.Context()); err != nil || !got.Equal(secret.New(fmt.Sprint("key ", winner))) {
		t.Errorf("got error %v, or not the key that was created", err)
	}
	if _, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(prefix + "/callbacks/pairkey")}); err != nil {
		t.Error(err)
	}
}
