package directory

// What tests see of the answers and the bounds.
type (
	InspectionJSON = inspectionJSON
	PersonJSON     = personJSON
	GivenJSON      = givenJSON
)

const (
	GivenMost     = givenMost
	MaxAvatar     = maxAvatar
	MaxPersonName = maxPersonName
	PeopleMost    = peopleMost
)
