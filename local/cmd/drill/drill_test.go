package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/built"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// A company survives the loss of all its stores. The drill fails if the backup
// lacks a private key or a page, or has a table without items.
func TestDrill(t *testing.T) {
	type damage struct {
		name   string
		damage func(context.Context, *stores) error
		want   string // part of the error; empty for success
	}
	cases := []damage{
		{"whole backup", nil, ""},
		{"a private key missing", func(ctx context.Context, s *stores) error {
			return s.eachSecret(ctx, func(client *secretsmanager.Client, name string) error {
				if !strings.Contains(name, "/key/") {
					return nil
				}
				_, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
				return err
			})
		}, "build the view again"},
		{"a page missing", func(ctx context.Context, s *stores) error {
			return s.eachObject(ctx, func(client *s3.Client, key string) error {
				if !strings.Contains(key, "/pages/") {
					return nil
				}
				_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
				return err
			})
		}, "verification: got "},
		{"tables without items", func(ctx context.Context, s *stores) error {
			for _, id := range kept {
				if err := s.empty(ctx, id); err != nil {
					return err
				}
			}
			return nil
		}, "restore: no item in " + strings.Join(kept, ", ")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var said []string
			d := drill{
				root: "../../..", config: awstest.Config(t), worker: built.Worker(t), library: built.Library(t), environment: awstest.Services(t).Env(),
				messages: 60, say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, damage: c.damage,
			}
			err := d.run(t.Context())
			if c.want == "" {
				if err != nil || len(said) == 0 || !strings.HasSuffix(said[len(said)-1], "all 100 messages are as they were sent") {
					t.Errorf("got %v and %q, want a verified company", err, said)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v and %q, want an error with %q", err, said, c.want)
			}
		})
	}
}

// empty deletes the items of a table.
func (s *stores) empty(ctx context.Context, id string) error {
	all, err := items(ctx, s.config, s.tables[id])
	if err != nil {
		return err
	}
	for _, item := range all {
		if _, err := dynamodb.NewFromConfig(s.config).DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: aws.String(s.tables[id]), Key: map[string]types.AttributeValue{"pk": item["pk"], "sk": item["sk"]},
		}); err != nil {
			return err
		}
	}
	return nil
}
