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

// saveEvery is how much of buckets and secrets is lost at most if the process
// is killed. Stop saves everything.
const saveEvery = 10 * time.Second

// A keeper saves moto's buckets and secrets, which live in memory, as files,
// and puts them back at the next start. Queues are not kept: what was in them
// is asked for again by the timer, which is what it is for.
//
// An object is a file below objects/<bucket>/, its name escaped, with its
// metadata beside it; objects are never changed, so each is saved once. The
// secrets are one file. All of it is as secret as the folder.
type keeper struct {
	dir     string
	buckets *s3.Client
	secrets *secretsmanager.Client
	names   []string // of the buckets
}

// startKeeper restores what was kept, and saves until Stop.
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
		c.options.Log.Warn("the last run with this data did not end by itself: what it wrote to buckets in its last seconds may be missing",
			"at_most", saveEvery)
	}
	if err := k.restore(ctx); err != nil {
		return fmt.Errorf("restoring kept data: %w", err)
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
					c.options.Log.Error("cannot keep data", "err", err)
				}
			case <-background.Done():
				return
			}
		}
	})
	c.then(func() {
		cancel()
		work.Wait()
		if err := k.save(context.Background()); err != nil {
			c.options.Log.Error("cannot keep data", "err", err)
			return
		}
		_ = os.Remove(running)
	})
	return nil
}

// kept is what is saved of a secret.
type kept struct {
	Name   string
	Text   *string
	Binary []byte
}

func (k *keeper) save(ctx context.Context) error {
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
	var all []kept
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
			all = append(all, kept{Name: *s.Name, Text: value.SecretString, Binary: value.SecretBinary})
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
	// The metadata first: where the object's file is, both are.
	return errors.Join(replaceFile(path+metaSuffix, meta), replaceFile(path, body))
}

// metaSuffix cannot end an escaped name.
const metaSuffix = "%meta"

// replaceFile writes a file that appears whole or not at all.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+"%new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+"%new", path)
}

func (k *keeper) restore(ctx context.Context) error {
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
	raw, err := os.ReadFile(filepath.Join(k.dir, "secrets.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []kept
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
