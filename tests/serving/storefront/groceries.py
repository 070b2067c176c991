"""A small grocery: what is on its shelves, by department and category, with prices."""

from streams.contracts.events import Item

SHELVES: dict[tuple[str, str], str] = {
    ("DAIRY", "FLUID MILK PRODUCTS"): "Whole Milk, 1 GA: 3.49; Oat Drink, 32 OZ: 4.29; Half & Half, 16 OZ: 2.19",
    ("DAIRY", "CHEESE"): "Aged Cheddar, 8 OZ: 5.49; Brie Double Cream, 7 OZ: 6.99; Mozzarella Shredded, 16 OZ: 4.79",
    ("DAIRY", "EGGS"): "Free-Range Eggs, 1 DZ: 4.19; Eggs - Large, 18 CT: 4.89",
    ("DAIRY", "YOGURT"): "Greek Yogurt Plain, 32 OZ: 5.29; Strawberry Yogurt, 6 OZ: 1.09; Salted Butter, 16 OZ: 4.99",
    (
        "BAKERY",
        "BAKED BREAD/BUNS/ROLLS",
    ): "Sourdough Loaf, 24 OZ: 4.99; Wheat Bread, 20 OZ: 2.89; Brioche Buns, 8 CT: 3.99",
    ("BAKERY", "SWEET GOODS"): "Lemon Drizzle Cake: 7.49; Chocolate Chip Cookies, 12 CT: 4.49; Apple Pie, 9 IN: 8.99",
    ("PRODUCE", "TROPICAL FRUIT"): "Bananas: 0.59; Mango: 1.49; Kiwi, 6 CT: 2.99",
    ("PRODUCE", "APPLES AND CITRUS"): "Honeycrisp Apples, 3 LB: 6.49; Navel Oranges, 4 LB: 5.49; Lemons, 5 CT: 3.29",
    ("PRODUCE", "BERRIES"): "Strawberries, 16 OZ: 4.99; Blueberries, 11 OZ: 4.49; Raspberries, 6 OZ: 3.99",
    ("PRODUCE", "VEGETABLES"): "Carrots, 2 LB: 1.99; Vine Tomatoes, 1 LB: 2.79; Baby Spinach, 5 OZ: 3.49",
    ("PRODUCE", "ONIONS AND POTATOES"): "Yellow Onions, 3 LB: 2.99; Russet Potatoes, 5 LB: 3.99",
    ("MEAT", "BEEF"): "Ribeye Steak, 12 OZ: 13.99; Ground Beef 85/15, 1 LB: 6.49",
    ("MEAT", "CHICKEN"): "Chicken Thighs, 2 LB: 7.29; Rotisserie Chicken: 8.99",
    ("MEAT", "SAUSAGES AND BACON"): "Bratwurst, 14 OZ: 5.99; Thick-Cut Bacon, 16 OZ: 7.49",
    ("SEAFOOD", "SEAFOOD"): "Atlantic Salmon Fillet, 1 LB: 11.99; Shrimp Peeled, 12 OZ: 9.99",
    ("FROZEN", "FROZEN PIZZA"): "Margherita Pizza, 14 OZ: 6.49; Pepperoni Pizza, 22 OZ: 7.29",
    ("FROZEN", "ICE CREAM"): "Vanilla Bean Ice Cream, 1 PT: 5.49; Mango Sherbet, 1 QT: 4.79",
    ("GROCERY", "SOFT DRINKS"): "Cola, 12 PK: 7.99; Sparkling Water, 8 PK: 5.29; Ginger Lemonade, 33 OZ: 3.79",
    ("GROCERY", "COFFEE AND TEA"): "Espresso Beans, 12 OZ: 11.49; Earl Grey Tea, 50 CT: 4.99",
    ("GROCERY", "PASTA AND NOODLES"): "Spaghetti, 16 OZ: 1.89; Ramen Noodles, 5 PK: 3.29; Basmati Rice, 2 LB: 4.59",
    ("GROCERY", "CANNED FOOD"): "Tomato Soup, 10 OZ: 1.59; Black Beans, 15 OZ: 1.19; Tuna in Olive Oil, 5 OZ: 2.99",
    ("GROCERY", "SNACKS"): "Sea Salt Potato Chips, 8 OZ: 3.99; Trail Mix, 12 OZ: 5.79; Dark Chocolate 70%, 3 OZ: 2.99",
    ("GROCERY", "BREAKFAST"): "Granola Cereal, 12 OZ: 4.69; Peanut Butter, 16 OZ: 3.89; Strawberry Jam, 12 OZ: 3.49",
    ("GROCERY", "SPICES"): "Sea Salt Grinder: 3.29; Smoked Paprika Seasoning: 4.19",
    ("DRINKS", "BEER AND WINE"): "Pale Ale Beer, 6 PK: 10.99; Pinot Noir Wine, 750 ML: 14.99",
    ("HOUSEHOLD", "LAUNDRY AND CLEANING"): "Laundry Detergent, 50 OZ: 9.99; Dish Soap, 19 OZ: 3.49",
    ("HOUSEHOLD", "PAPER"): "Bath Tissue, 12 CT: 10.49; Paper Towels, 6 CT: 9.29",
    ("DRUG", "HAIR AND BODY"): "Shampoo, 13 OZ: 6.99; Toothpaste Mint, 2 PK: 5.99; Vitamin C, 100 CT: 8.49",
    ("PETS", "PET FOOD"): "Dog Food Dry, 15 LB: 22.99; Cat Food Salmon, 12 CT: 12.49",
    ("FLORAL", "FLOWERS"): "Tulip Bouquet: 9.99; Potted Basil Plant: 3.99",
}


def groceries(prefix: str = "g") -> list[Item]:
    """Every item of the shop; ids are the prefix and a number."""
    told = [(shelf, line) for shelf, lines in SHELVES.items() for line in lines.split("; ")]
    return [_item(f"{prefix}{number:03d}", shelf, line) for number, (shelf, line) in enumerate(told, 1)]


def _item(item_id: str, shelf: tuple[str, str], line: str) -> Item:
    name, _, price = line.rpartition(": ")
    department, category = shelf
    kind, _, size = name.partition(", ")
    attributes = {"department": department, "product_category": category, "product_type": kind, "brand": "National"}
    return Item(
        item_id=item_id, name=name, price=float(price), attributes=attributes | ({"package_size": size} if size else {})
    )
