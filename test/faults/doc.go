// Package faults breaks things on purpose: a real RabbitMQ, a real Kubernetes API server and the product's own processes, with a lever for each
// fault that the product promises to bear, and a report of what each showed.
//
// Each row of the table in report_test.go has a test that is named after it, or says why not. SURGEWALL_FAULTS says how much:
//
//	(unset)  the quick half: short times, few repetitions, not the rows that take longest
//	short    every row with short times
//	full     every row with the times of the promises, as make test-faults has it
//
// TestSimulation runs the control plane in virtual time with faults drawn from a seed; SURGEWALL_SEED=n plays one again and tells its story.
package faults
