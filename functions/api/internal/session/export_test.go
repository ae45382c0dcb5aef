package session

const RememberedMost = rememberedMost
