//go:build !linux

package lakehouse

import "time"

var processStart = time.Now()

// threadTime is the time that has passed: an upper bound of the processor time taken.
func threadTime() time.Duration { return time.Since(processStart) }
