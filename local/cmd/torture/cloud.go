package main

import (
	"context"
	"errors"
)

func cloud(ctx context.Context, o options) error   { return errors.New("later") }
func contend(ctx context.Context, o options) error { return errors.New("later") }
