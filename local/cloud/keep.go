package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// saveEvery is the time between two saves. If the process is killed, the changes
// of buckets and secrets since the last save are lost. Stop saves everything.
const saveEvery = 10 * time.Second

// A keeper saves moto's buckets and secrets as files, because moto holds them in
// memory. The next start restores them. Queues are not saved: the dispatcher
// requests the lost work again (law 3).
//
// An object becomes a file below objects/<bucket>/ with an escaped name. Its
// metadata is a file beside it. An object never changes, so each is saved once.
// All secrets are one file. The folder must be kept as secret as its content.
type keeper struct {
	dir     string
	buckets *s3.Client
	secrets *secretsmanager.Client
	names   []string // names of the buckets
}

// startKeeper restores the saved data, and saves until Stop.
func (c *Cloud) startKeeper(ctx context.Context, dir string) error {
	k := &keeper{
		dir: filepath.Join(dir, "moto"), buckets: s3.NewFromConfig(c.Config), secrets: secretsmanager.NewFromConfig(c.Config),
	}
	for _, b := range c.Stack.Buckets {
		k.names = append(k.names, b.Name)
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	running := filepath.Join(k.dir, "running")
	if _, err := os.Stat(running); err == nil {
		c.options.Log.Warn("last run killed: its last changes of buckets and secrets may be missing", "at_most", saveEvery)
	}
	if err := k.restore(ctx); err != nil {
		return fmt.Errorf("restore saved data: %w", err)
	}
	if err := os.WriteFile(running, nil, 0o600); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		ticker := time.NewTicker(saveEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := k.save(background); err != nil && background.Err() == nil {
					c.options.Log.Error("save failed", "err", err)
				}
			case <-background.Done():
				return
			}
		}
	})
	c.onStop(func() {
		cancel()
		work.Wait()
		if err := k.save(context.Background()); err != nil {
			c.options.Log.Error("save failed", "err", err)
			return
		}
		// If the process dies before this line, the next start warns of lost
		// data although all data was saved.
		_ = os.Remove(running)
	})
	return nil
}

// A savedSecret is a secret in secrets.json.
type savedSecret struct {
	Name   string
	Text   *string
	Binary []byte
}

// save saves new objects and all secrets. A kill during save leaves each file
// whole, in its old or new form.
func (k *keeper) save(ctx context.Context) error {
	if err := k.saveObjects(ctx); err != nil {
		return err
	}
	return k.saveSecrets(ctx)
}

func (k *keeper) saveObjects(ctx context.Context) error {
	for _, bucket := range k.names {
		pages := s3.NewListObjectsV2Paginator(k.buckets, &s3.ListObjectsV2Input{Bucket: &bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, o := range page.Contents {
				if err := k.saveObject(ctx, bucket, *o.Key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (k *keeper) saveSecrets(ctx context.Context) error {
	var all []savedSecret
	pages := secretsmanager.NewListSecretsPaginator(k.secrets, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, s := range page.SecretList {
			value, err := k.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.Name})
			if err != nil {
				return err
			}
			all = append(all, savedSecret{Name: *s.Name, Text: value.SecretString, Binary: value.SecretBinary})
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(k.dir, "secrets.json"), raw)
}

func (k *keeper) objectPath(bucket, key string) string {
	return filepath.Join(k.dir, "objects", bucket, url.PathEscape(key))
}

func (k *keeper) saveObject(ctx context.Context, bucket, key string) error {
	path := k.objectPath(bucket, key)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	o, err := k.buckets.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer o.Body.Close()
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return err
	}
	meta, err := json.Marshal(o.Metadata)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// The metadata is written first. A kill between the two writes leaves no
	// object without metadata, and the next save writes both files.
	return errors.Join(replaceFile(path+metaSuffix, meta), replaceFile(path, body))
}

// metaSuffix ends the name of a metadata file. An escaped name never ends so.
const metaSuffix = "%meta"

// replaceFile writes a file that appears whole or stays as it was.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+"%new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+"%new", path)
}

// restore puts the saved objects and secrets into moto.
func (k *keeper) restore(ctx context.Context) error {
	if err := k.restoreObjects(ctx); err != nil {
		return err
	}
	return k.restoreSecrets(ctx)
}

func (k *keeper) restoreObjects(ctx context.Context) error {
	for _, bucket := range k.names {
		files, err := os.ReadDir(filepath.Join(k.dir, "objects", bucket))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			if strings.HasSuffix(f.Name(), metaSuffix) || strings.HasSuffix(f.Name(), "%new") {
				continue
			}
			key, err := url.PathUnescape(f.Name())
			if err != nil {
				return err
			}
			if err := k.restoreObject(ctx, bucket, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *keeper) restoreSecrets(ctx context.Context) error {
	raw, err := os.ReadFile(filepath.Join(k.dir, "secrets.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []savedSecret
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	for _, s := range all {
		if _, err := k.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: sdk.String(s.Name), SecretString: s.Text, SecretBinary: s.Binary,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) restoreObject(ctx context.Context, bucket, key string) error {
	path := k.objectPath(bucket, key)
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path + metaSuffix)
	if err != nil {
		return err
	}
	var meta map[string]string
	if err := json.Unmarshal(raw, &meta); err != nil {
		return err
	}
	_, err = k.buckets.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: meta})
	return err
}
