-- The template loads it; only the authentication cache, which nothing here uses, takes locks.
return {
  new = function()
    return {
      lock = function() return 0 end,
      unlock = function() return true end,
    }
  end,
}
