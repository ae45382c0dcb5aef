package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// sinkArgument is the first argument of the process that [startSink] starts. The second
// is the time until an answer.
const sinkArgument = "sink"

// serveSink takes DynamoDB's requests on the loopback address, stores nothing, and
// answers after a fixed time as a table without items does. It ends with its
// standard input.
func serveSink(latency string) error {
	wait, err := time.ParseDuration(latency)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(wait)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		answer := "{}"
		switch _, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); op {
		case "Query":
			answer = `{"Items":[],"Count":0,"ScannedCount":0}`
		case "BatchWriteItem":
			answer = `{"UnprocessedItems":{}}`
		case "BatchGetItem":
			answer = `{"Responses":{},"UnprocessedKeys":{}}`
		case "BatchExecuteStatement":
			n := bytes.Count(body, []byte(`"Statement":`))
			answer = `{"Responses":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
}

// startSink starts the sink as a process of its own, so that its processor time is
// not counted.
func startSink(cfg sdk.Config, latency time.Duration) (client *dynamodb.Client, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, sinkArgument, latency.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("start the sink: %w", err)
	}
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.BaseEndpoint = sdk.String("http://" + strings.TrimSpace(addr))
	}), stop, nil
}
