//go:build !linux

package main

import "testing"

// labMain: there are laboratories on Linux only.
func labMain(*testing.M) {}
