// Command bare is an empty Lambda function: a cold start of it is the process, Go's
// runtime, and the first request for an event.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(func(map[string]any) error { return nil })
}
