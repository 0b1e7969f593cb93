//go:build unix && !linux

package engine

import "errors"

var errNoFence = errors.New("only Linux has it")

func confineFiles(order) error { return errNoFence }

func confineCalls() error { return errNoFence }
