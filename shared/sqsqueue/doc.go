// Package sqsqueue sends the archive's requests through SQS FIFO queues, and
// reads them back from the bodies that Lambda hands out.
//
// A message group is worked on by one function at a time, in order, and what
// fails in it holds up the rest of it. So a group never holds two corps (law
// 8): pulls have one group per corp, since a corp has one head; decodes have
// [Lanes] groups per corp and one more for its replays, so that a replay of a
// year stands in nobody's way; files have one group for each lane of a corp.
//
// SQS swallows a message whose deduplication id it has seen in the last 5
// minutes in the whole queue, even if the first one has been worked on and
// deleted. Therefore every request gets an id of its own, unless it asks to be
// swallowed, and then the id is its corp's.
package sqsqueue
