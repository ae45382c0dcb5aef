package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

const corpA, corpB = "ww0123456789abcdef", "wx0123456789abcdef"

func newStore(t *testing.T) (*secretstore.Store, *secretsmanager.Client, string) {
	client, prefix := secretsmanager.NewFromConfig(awstest.Config(t)), awstest.Name(t)
	return secretstore.New(client, prefix, ""), client, prefix
}

func TestArchiveSecret(t *testing.T) {
	s, _, _ := newStore(t)
	if _, err := s.ArchiveSecret(t.Context(), corpA); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("before: got error %v, want %v", err, archive.ErrNotFound)
	}
	for _, text := range []string{"first", "second", "second", "第三"} {
		if err := s.PutArchiveSecret(t.Context(), corpA, secret.New(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ArchiveSecret(t.Context(), corpA); err != nil || !got.Equal(secret.New(text)) {
			t.Errorf("got error %v, or not %s", err, text)
		}
	}
	if _, err := s.ArchiveSecret(t.Context(), corpB); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v, want %v", err, archive.ErrNotFound)
	}
}

func TestPrivateKeyIsCreatedOnce(t *testing.T) {
	s, _, _ := newStore(t)
	const id = "00112233445566778899aabbccddeeff"
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.CreatePrivateKey(t.Context(), corpA, id, secret.New(fmt.Sprint("key ", i)))
		})
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
	got, err := s.PrivateKey(t.Context(), corpA, id)
	if err != nil || !got.Equal(secret.New(fmt.Sprint("key ", winner))) {
		t.Errorf("got error %v, or not the key that was created", err)
	}
	if _, err := s.PrivateKey(t.Context(), corpB, id); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v, want %v", err, archive.ErrNotFound)
	}
}

// A bill by tags shows what each corp costs.
func TestSecretsCarryTags(t *testing.T) {
	s, client, prefix := newStore(t)
	for _, err := range []error{
		s.PutArchiveSecret(t.Context(), corpA, secret.New("s")),
		s.PutAppSecret(t.Context(), corpA, secret.New("s")),
		s.CreatePrivateKey(t.Context(), corpA, "k", secret.New("k")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"archive", "app", "key/k"} {
		out, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(prefix + "/" + corpA + "/" + name)})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, tag := range out.Tags {
			got[*tag.Key] = *tag.Value
		}
		if want := map[string]string{"stack": prefix, "corp": corpA}; !maps.Equal(got, want) {
			t.Errorf("%s: got tags %v, want %v", name, got, want)
		}
	}
}

func TestDeletedSecret(t *testing.T) {
	s, client, prefix := newStore(t)
	const id = "key"
	if err := s.CreatePrivateKey(t.Context(), corpA, id, secret.New("k")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(prefix + "/" + corpA + "/key/" + id)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PrivateKey(t.Context(), corpA, id); !errors.Is(err, secretstore.ErrDeleted) || !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("read: got error %v, want %v, which is %v", err, secretstore.ErrDeleted, archive.ErrCorrupt)
	}
	// The writes are tested with AWS's documented answer, because the local service
	// answers differently: it takes the write, or says that the name exists.
	s = secretstore.New(refusing{&types.InvalidRequestException{}}, "p", "")
	for name, err := range map[string]error{
		"create": s.CreatePrivateKey(t.Context(), corpA, id, secret.New("k")),
		"save":   s.PutArchiveSecret(t.Context(), corpA, secret.New("s")),
	} {
		if !errors.Is(err, secretstore.ErrDeleted) {
			t.Errorf("%s: got error %v, want %v", name, err, secretstore.ErrDeleted)
		}
	}
}

// refusing answers every call with the same error.
type refusing struct{ error }

func (r refusing) CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error) {
	return nil, r.error
}

func (r refusing) PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return nil, r.error
}

func (r refusing) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return nil, r.error
}

func TestForeignContentIsCorrupt(t *testing.T) {
	s, client, prefix := newStore(t)
	for _, in := range []secretsmanager.CreateSecretInput{
		{Name: aws.String(prefix + "-identity"), SecretString: aws.String(`{"secret":"hunter2"`)},
		{Name: aws.String(prefix + "/" + corpA + "/archive"), SecretBinary: []byte("hunter2")},
	} {
		if _, err := client.CreateSecret(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err1 := s.Identity(t.Context(), prefix+"-identity")
	_, err2 := s.ArchiveSecret(t.Context(), corpA)
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, archive.ErrCorrupt) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got error %v, want %v and no secret", err, archive.ErrCorrupt)
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	s := secretstore.New(refusing{&smithy.GenericAPIError{Code: "ValidationException", Message: "invalid value: hunter2"}}, "p", "")
	for name, err := range map[string]error{
		"save": s.PutArchiveSecret(t.Context(), corpA, secret.New("hunter2")),
		"key":  s.CreatePrivateKey(t.Context(), corpA, "k", secret.New("hunter2")),
		"pair": s.CreatePairKey(t.Context(), secret.New("hunter2")),
	} {
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "ValidationException") {
			t.Errorf("%s: got error %v, want only the error code", name, err)
		}
	}
}
