package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/yunduo-scrm/archive/local/aws"
)

// stores are the tables, the journal and the secrets of a stack, or of a backup.
type stores struct {
	config  sdk.Config
	tables  map[string]string // names, by logical id
	bucket  string
	secrets string // prefix of the names of secrets
}

// newStores names stores that do not exist yet.
func newStores(config sdk.Config) *stores {
	name := "drill-" + strings.ToLower(rand.Text())
	return &stores{config: config, tables: map[string]string{}, bucket: name, secrets: name}
}

// create makes the template's tables and a bucket, empty.
func (s *stores) create(ctx context.Context, template string) error {
	source, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	schemas, err := aws.Tables(source)
	if err != nil {
		return err
	}
	for id, schema := range schemas {
		s.tables[id] = s.secrets + "-" + id
		schema.TableName = sdk.String(s.tables[id])
		if _, err := dynamodb.NewFromConfig(s.config).CreateTable(ctx, schema); err != nil {
			return fmt.Errorf("create %s: %w", s.tables[id], err)
		}
	}
	_, err = s3.NewFromConfig(s.config).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
		LocationConstraint: s3types.BucketLocationConstraint(s.config.Region),
	}})
	return err
}

// destroy removes everything.
func (s *stores) destroy(ctx context.Context) error {
	var errs []error
	for _, table := range s.tables {
		_, err := dynamodb.NewFromConfig(s.config).DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
		errs = append(errs, err)
	}
	errs = append(errs, s.eachSecret(ctx, func(client *secretsmanager.Client, name string) error {
		_, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: sdk.Bool(true)})
		return err
	}), s.eachObject(ctx, func(client *s3.Client, key string) error {
		_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
		return err
	}))
	return errors.Join(errs...)
}

func (s *stores) eachSecret(ctx context.Context, do func(*secretsmanager.Client, string) error) error {
	client := secretsmanager.NewFromConfig(s.config)
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{Filters: []smtypes.Filter{{Key: smtypes.FilterNameStringTypeName, Values: []string{s.secrets + "/"}}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, secret := range page.SecretList {
			if err := do(client, sdk.ToString(secret.Name)); err != nil {
				return fmt.Errorf("secret %s: %w", sdk.ToString(secret.Name), err)
			}
		}
	}
	return nil
}

func (s *stores) eachObject(ctx context.Context, do func(*s3.Client, string) error) error {
	client := s3.NewFromConfig(s.config, func(o *s3.Options) { o.UsePathStyle = true })
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &s.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			if err := do(client, sdk.ToString(object.Key)); err != nil {
				return fmt.Errorf("object %s: %w", sdk.ToString(object.Key), err)
			}
		}
	}
	return nil
}

// copySecrets copies every secret, under the prefix of the other stores.
func (s *stores) copySecrets(ctx context.Context, to *stores) error {
	return s.eachSecret(ctx, func(client *secretsmanager.Client, name string) error {
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
		if err != nil {
			return err
		}
		renamed := to.secrets + strings.TrimPrefix(name, s.secrets)
		_, err = secretsmanager.NewFromConfig(to.config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &renamed, SecretString: out.SecretString})
		return err
	})
}

// copyObjects copies the journal with the metadata of the chain.
func (s *stores) copyObjects(ctx context.Context, to *stores) error {
	return s.eachObject(ctx, func(client *s3.Client, key string) error {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		body, err := io.ReadAll(out.Body)
		if err != nil {
			return err
		}
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &to.bucket, Key: &key, Body: bytes.NewReader(body), Metadata: out.Metadata, ContentType: out.ContentType, ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256})
		return err
	})
}

// sameItems compares two tables item by item.
func sameItems(ctx context.Context, config sdk.Config, a, b string) error {
	first, err := items(ctx, config, a)
	if err != nil {
		return err
	}
	second, err := items(ctx, config, b)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(first, second) {
		return fmt.Errorf("%s has %d items, and its copy %s has %d others", a, len(first), b, len(second))
	}
	return nil
}

func items(ctx context.Context, config sdk.Config, table string) (map[string]map[string]dbtypes.AttributeValue, error) {
	all := map[string]map[string]dbtypes.AttributeValue{}
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(config), &dynamodb.ScanInput{TableName: &table, ConsistentRead: sdk.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		for _, item := range page.Items {
			pk, _ := item["pk"].(*dbtypes.AttributeValueMemberS)
			sk, _ := item["sk"].(*dbtypes.AttributeValueMemberS)
			if pk == nil || sk == nil {
				return nil, fmt.Errorf("%s has an item without keys", table)
			}
			all[pk.Value+" "+sk.Value] = item
		}
	}
	return all, nil
}
