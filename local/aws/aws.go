// Package aws starts the AWS services that the project's tests and its local
// cloud run on, without an account: AWS's own DynamoDB Local for tables, and
// moto's server for S3, SQS, SNS, EventBridge and Secrets Manager.
//
// Both are separate programs: they listen on the loopback address only, on
// free ports, and die with the process that started them. Needed on the
// machine are a JDK, npm (which fetches DynamoDB Local once) and Python with
// moto; [Start] names what is missing and the command that installs it.
//
// Nothing that is deployed imports this package.
package aws

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// What clients of the services name; none of it means anything to them.
const (
	region    = "cn-north-1"
	accessKey = "local"
	secretKey = "local-and-made-up"
)

// startLimit bounds a service's start. It is for hanging, not for slowness:
// both are up in a few seconds.
const startLimit = 2 * time.Minute

// Options say where the services keep what they keep.
type Options struct {
	// Dir is the folder of DynamoDB's tables, made if missing. Empty keeps
	// them in memory. moto keeps everything in memory in any case.
	Dir string
	// Cache is a folder for what is fetched and compiled once, shared by all
	// processes of a user. Empty means yunduo-archive in the user's own cache.
	Cache string
	// Log takes progress and the services' own output, line by line, from
	// several goroutines; [IsProgress] tells them apart. Nil drops them.
	Log func(line string)
}

// progress begins the lines about what is done once on a machine and may need
// minutes.
const progress = "fetching "

// IsProgress reports whether a line of Options.Log is progress, not the output
// of a service.
func IsProgress(line string) bool { return strings.HasPrefix(line, progress) }

// Services are running. The zero value is not usable.
type Services struct {
	dynamoDB string // endpoint URL
	moto     string // endpoint URL
	children []*child
}

// Start starts both services and returns when they answer. They run until
// Stop or until this process ends, whichever comes first; ctx bounds only the
// start.
func Start(ctx context.Context, o Options) (_ *Services, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no folder to keep DynamoDB Local in: %w", err)
		}
		o.Cache = filepath.Join(user, "yunduo-archive")
	}
	python, missingPython := findPython(ctx)
	program, missingProgram := prepareDynamoDB(ctx, o.Cache, o.Log)
	if err := errors.Join(missingPython, missingProgram); err != nil {
		return nil, err
	}

	s := &Services{}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	moto, err := startChild("moto", o.Log, nil, motoCommand(python)...)
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, moto)
	command, err := program.command(o.Dir)
	if err != nil {
		return nil, err
	}
	tables, err := startChild("DynamoDB Local", o.Log, program.env(), command...)
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, tables)

	if s.dynamoDB, err = tables.endpoint(ctx); err != nil {
		return nil, err
	}
	if s.moto, err = moto.endpoint(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Suspend stops both services where they are (SIGSTOP), until resume is called.
// Whoever found the services by [FromEnv] cannot: they belong to another process.
func (s *Services) Suspend() (resume func(), err error) {
	if len(s.children) == 0 {
		return nil, errors.New("services of another process")
	}
	for _, c := range s.children {
		_ = c.cmd.Process.Signal(syscall.SIGSTOP) // an error means that it is gone
	}
	return func() {
		for _, c := range s.children {
			_ = c.cmd.Process.Signal(syscall.SIGCONT)
		}
	}, nil
}

// Stop ends the services and waits for that. It may be called more than once.
func (s *Services) Stop() {
	for _, c := range s.children {
		c.stop()
	}
}

// The variables by which the SDK finds the services, and children of a
// process that started them.
const (
	envDynamoDB = "AWS_ENDPOINT_URL_DYNAMODB"
	envS3       = "AWS_ENDPOINT_URL_S3"
	envSQS      = "AWS_ENDPOINT_URL_SQS"
	envSNS      = "AWS_ENDPOINT_URL_SNS"
	envEvents   = "AWS_ENDPOINT_URL_EVENTBRIDGE"
	envSecrets  = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
	envSTS      = "AWS_ENDPOINT_URL_STS"
)

// Env is the environment, as NAME=value, in which any AWS SDK uses the
// services and reaches for nothing else.
func (s *Services) Env() []string {
	return []string{
		envDynamoDB + "=" + s.dynamoDB,
		envS3 + "=" + s.moto,
		envSQS + "=" + s.moto,
		envSNS + "=" + s.moto,
		envEvents + "=" + s.moto,
		envSecrets + "=" + s.moto,
		envSTS + "=" + s.moto,
		"AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_SESSION_TOKEN=",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// FromEnv finds the services that a parent process started and passed on with
// [Services.Env]. It is false if there are none. Endpoints that are not on the
// loopback address are not ours and do not count: tests never reach an
// account by accident.
func FromEnv(getenv func(string) string) (*Services, bool) {
	s := &Services{dynamoDB: getenv(envDynamoDB), moto: getenv(envS3)}
	for _, url := range []string{s.dynamoDB, s.moto} {
		if !strings.HasPrefix(url, loopback) {
			return nil, false
		}
	}
	return s, true
}

// Config is an SDK configuration for the services. It reads no environment
// and no file.
func (s *Services) Config() sdk.Config {
	return sdk.Config{
		Region:        region,
		Credentials:   credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		ConfigSources: []any{endpoints{s}},
	}
}

// endpoints is asked by each SDK client for the endpoint of its service.
type endpoints struct{ s *Services }

// GetServiceBaseEndpoint is the SDK's hook for per-service endpoints.
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, sdkID string) (string, bool, error) {
	switch sdkID {
	case dynamodb.ServiceID:
		return e.s.dynamoDB, true, nil
	case s3.ServiceID, sqs.ServiceID, sns.ServiceID, eventbridge.ServiceID, secretsmanager.ServiceID, sts.ServiceID:
		return e.s.moto, true, nil
	case "ACM", "ApiGatewayV2", "CloudFormation", "CloudTrail", "EC2", "Service Quotas": // operators' commands alone speak with these
		return e.s.moto, true, nil
	}
	return "", false, fmt.Errorf("no local stand-in for the service %s", sdkID)
}
