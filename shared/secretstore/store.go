// Package secretstore keeps secrets in AWS Secrets Manager:
//
//	<prefix>/<corp>/archive      the archive secret; replaced when it changes
//	<prefix>/<corp>/app          the self-built app's secret; replaced when it changes
//	<prefix>/<corp>/key/<keyid>  a private key, PKCS#8 PEM; created once (law 6)
//	<prefix>/callbacks/pairkey   seals the callback pairs of all corps; created once
//
// This package never deletes a secret. A secret that is created once is never
// written again: the package has no method for that, and its calls cannot do it.
// The roles of the functions allow only these calls.
//
// Secrets Manager does not promise that a read finds a write that has just
// returned. So a read may return a value that is some seconds old, and may miss a
// secret that was just created. Creation is decided in one place: if two callers
// create the same name, exactly one succeeds and the other gets
// [archive.ErrExists].
package secretstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// ErrDeleted means that an operator or another program deleted the secret. Until
// its recovery window ends, the secret is unreadable and its name stays taken. An
// operator must restore it (aws secretsmanager restore-secret).
var ErrDeleted = errors.New("secret scheduled for deletion: restore it in Secrets Manager")

// Client lists the methods of [*secretsmanager.Client] that this package calls.
type Client interface {
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

var _ Client = (*secretsmanager.Client)(nil)

// Store is the secrets below one prefix. It is safe for concurrent use. Its errors
// hold the names of secrets, which may be published. A write is durable when its
// method has returned nil.
type Store struct {
	client Client
	prefix string
	kmsKey string
}

// New makes a store of the secrets below prefix. kmsKey is the id, ARN or
// alias of the KMS key that encrypts new secrets; empty means the account's own
// key of Secrets Manager.
func New(client Client, prefix, kmsKey string) *Store {
	return &Store{client: client, prefix: prefix, kmsKey: kmsKey}
}

// ArchiveSecret reads the corp's archive secret as saved last;
// [archive.ErrNotFound] before the first save.
func (s *Store) ArchiveSecret(ctx context.Context, corp string) (secret.Value, error) {
	return s.get(ctx, s.archiveName(corp))
}

// PutArchiveSecret saves the corp's archive secret. The last writer wins.
// Secrets Manager keeps the previous value as the secret's previous version.
func (s *Store) PutArchiveSecret(ctx context.Context, corp string, v secret.Value) error {
	return s.putChangeable(ctx, corp, s.archiveName(corp), v)
}

func (s *Store) putChangeable(ctx context.Context, corp, name string, v secret.Value) error {
	text := v.Reveal()
	// The secret is absent only before a corp's first save. Creating it first would
	// cost a refused call at every other save.
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text})
	if err = known(err); !errors.Is(err, archive.ErrNotFound) {
		return wrap("save", name, err)
	}
	err = s.create(ctx, corp, name, v)
	if !errors.Is(err, archive.ErrExists) {
		return err
	}
	// Another caller created the secret between the two calls.
	_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text})
	return wrap("save", name, known(err))
}

func (s *Store) archiveName(corp string) string { return s.prefix + "/" + corp + "/archive" }

func (s *Store) get(ctx context.Context, name string) (secret.Value, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return secret.Value{}, wrap("read", name, known(err))
	}
	if out.SecretString == nil {
		return secret.Value{}, wrap("read", name, archive.ErrCorrupt) // this package writes no binary secrets
	}
	return secret.New(*out.SecretString), nil
}

// create tags the secret with stack and corp. A bill by tags then shows what a
// corp costs; the tags of a stack do not reach secrets that functions create.
func (s *Store) create(ctx context.Context, corp, name string, v secret.Value) error {
	text, stackTag, corpTag := v.Reveal(), "stack", "corp"
	in := &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: &text,
		Tags: []types.Tag{{Key: &stackTag, Value: &s.prefix}, {Key: &corpTag, Value: &corp}},
	}
	if s.kmsKey != "" {
		in.KmsKeyId = &s.kmsKey
	}
	_, err := s.client.CreateSecret(ctx, in)
	return wrap("create", name, known(err))
}

func wrap(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s secret %s: %w", verb, name, err)
}

// known maps the errors of Secrets Manager that callers distinguish. Every other
// error is reduced to its code, because its message may quote the request.
func known(err error) error {
	var (
		absent  *types.ResourceNotFoundException
		there   *types.ResourceExistsException
		state   *types.InvalidRequestException
		refusal smithy.APIError
	)
	switch {
	case errors.As(err, &absent):
		return archive.ErrNotFound
	case errors.As(err, &there):
		return archive.ErrExists
	case errors.As(err, &state):
		// Deletion is the only state in which Secrets Manager answers so for a
		// secret that only this package wrote.
		return fmt.Errorf("%w (%s)", ErrDeleted, state.ErrorCode())
	case errors.As(err, &refusal):
		return errors.New(refusal.ErrorCode())
	}
	return err
}
