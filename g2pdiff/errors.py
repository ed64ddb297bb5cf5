"""The one exception a user can cause: bad input, said in a sentence that names the field and the mend."""


class InputError(ValueError):
    """Input that cannot be used.

    `str(error)` is the sentence to show; `field` is the name of the input it belongs to, such as `"barcode"`,
    `"latitude"` or `"steps"`, so that an interface can place the sentence beside it.
    """

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field

    def __reduce__(self):
        return type(self), (self.field, str(self))
